package life

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// grace is how long a happening may go on after its time.
const grace = 90 * time.Second

// perform has every happening of a plan done at its time, several at once, and
// returns when the last of them is over. do returns when it is over and undone,
// soon after its context ends. When ctx ends, nothing more begins.
func perform(ctx context.Context, plan []Happening, do func(ctx context.Context, h Happening)) {
	begun := time.Now()
	var all sync.WaitGroup
	for _, h := range plan {
		if !pause(ctx, time.Until(begun.Add(h.At))) {
			break
		}
		all.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, h.For+grace)
			defer cancel()
			do(ctx, h)
		})
	}
	all.Wait()
}

// pause reports whether it was as long as it was told.
func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// repeat calls f until ctx ends; the first error of f ends it, too.
func repeat(ctx context.Context, every time.Duration, f func() error) error {
	for pause(ctx, every) {
		if err := f(); err != nil && ctx.Err() == nil {
			return err
		}
	}
	return nil
}

func describe(h Happening) string {
	switch h.Kind {
	case LoadStep, LoadRamp, Night, Batch:
		return fmt.Sprintf("%s %s at %.2fx for %.0f s", h.Kind, h.Instance, h.Factor, h.For.Seconds())
	case CPU, Disk, Memory:
		return fmt.Sprintf("%s neighbour for %.0f s", h.Kind, h.For.Seconds())
	}
	return fmt.Sprintf("%s %s", h.Kind, h.Instance)
}
