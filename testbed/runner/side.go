package runner

import (
	"context"
	"errors"
	"sync"
)

// SideBySide does something for each of n scenarios, so many at a time: they learn
// together, and their faults come one after the other. The results are put one at a time;
// one that cannot be put does not end the others.
func SideBySide[T any](ctx context.Context, o Options, n, parallel int, do func(i int, o Options) T, put func(i int, result T) error) error {
	if parallel > 1 {
		o.Turn = make(chan struct{}, 1)
		o.Turn <- struct{}{}
	}
	var mu sync.Mutex
	var failed error
	var all sync.WaitGroup
	slots := make(chan struct{}, max(1, parallel))
	for i := range n {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			if ctx.Err() != nil {
				return
			}
			result := do(i, o)
			if ctx.Err() != nil {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			failed = errors.Join(failed, put(i, result))
		})
	}
	all.Wait()
	return errors.Join(failed, ctx.Err())
}
