package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/perfscope/perfscope/testbed/agent"
	"github.com/perfscope/perfscope/testbed/runner"
)

// Goroutines is what it costs to watch a Go service with so many goroutines that
// wait, with looks at them and without.
type Goroutines struct {
	Waiting int  `json:"waiting"`
	Looks   bool `json:"looks"`
	// Turns is what the service does a second, Looked how often it was looked at.
	Turns  float64 `json:"turns_per_s"`
	Looked float64 `json:"looks_per_s"`
	Figures
}

const (
	// goroutineRounds is how often each case is measured, in turns.
	goroutineRounds = 3
	// turnsFor is measured each time.
	turnsFor = 8 * time.Second
)

// MeasureGoroutines measures services that pass a token around as fast as they can
// while other goroutines wait, the shipped collector beside them.
func MeasureGoroutines(ctx context.Context, o runner.Options, say func(string, ...any)) ([]Goroutines, error) {
	var out []Goroutines
	for _, waiting := range []int{10_000, 100_000} {
		l, err := startLoop("goroutines "+strconv.Itoa(waiting), "OTEL_SERVICE_NAME=bench-goroutines")
		if err != nil {
			return nil, err
		}
		_, err = l.out.ReadString('\n')
		var rounds [2][]Goroutines
		for range goroutineRounds {
			for i, looks := range []bool{false, true} {
				if err != nil {
					break
				}
				g := Goroutines{Waiting: waiting, Looks: looks}
				err = g.measure(ctx, o, l)
				rounds[i] = append(rounds[i], g)
			}
		}
		l.stop()
		if err != nil {
			return nil, fmt.Errorf("%d goroutines: %w", waiting, err)
		}
		for _, r := range rounds {
			g := middleOf(r)
			say("%6d goroutines, looks %-5v %9.0f turns/s, %.1f looks/s, collector %.4f CPUs, %.0f MiB", g.Waiting, g.Looks, g.Turns, g.Looked, g.CPU, g.RSS)
			out = append(out, g)
		}
	}
	return out, nil
}

// middleOf has the medians of what was measured several times.
func middleOf(all []Goroutines) Goroutines {
	g := all[0]
	of := func(value func(*Goroutines) float64) float64 {
		var values []float64
		for i := range all {
			values = append(values, value(&all[i]))
		}
		return median(values)
	}
	g.Turns, g.Looked = of(func(g *Goroutines) float64 { return g.Turns }), of(func(g *Goroutines) float64 { return g.Looked })
	g.CPU, g.RSS = of(func(g *Goroutines) float64 { return g.CPU }), of(func(g *Goroutines) float64 { return g.RSS })
	return g
}

func (g *Goroutines) measure(ctx context.Context, o runner.Options, l *loop) (err error) {
	out := filepath.Join(o.Out, "bench")
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	cfg := agent.Config{Binary: o.Binary, File: o.Config, Out: out, Env: []string{"PERFSCOPE_MODE=" + string(Default)}}
	if !g.Looks {
		off := filepath.Join(out, "no-goroutines.yaml")
		if err := os.WriteFile(off, []byte("receivers:\n  syscall:\n    watch:\n      goroutine_interval: 0s\n"), 0o600); err != nil {
			return err
		}
		cfg.Overlays = []string{off}
	}
	a, err := agent.Start(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Stop()) }()
	if err := pause(ctx, scaleWarm); err != nil {
		return err
	}
	before, err := l.turns()
	if err != nil {
		return err
	}
	begun, err := look(ctx, a)
	if err != nil {
		return err
	}
	if err := pause(ctx, turnsFor); err != nil {
		return err
	}
	after, err := l.turns()
	if err != nil {
		return err
	}
	ended, err := look(ctx, a)
	if err != nil {
		return err
	}
	g.between(begun, ended)
	took := ended.at.Sub(begun.at).Seconds()
	g.Turns = (after - before) / took
	g.Looked = (agent.Total(ended.metrics, "receiver_syscall_goroutine_looks") - agent.Total(begun.metrics, "receiver_syscall_goroutine_looks")) / took
	return nil
}

// turns is how often the token went around since the start.
func (l *loop) turns() (float64, error) {
	if _, err := fmt.Fprintln(l.in, "turns"); err != nil {
		return 0, err
	}
	line, err := l.out.ReadString('\n')
	if err != nil {
		return 0, err
	}
	return strconv.ParseFloat(strings.TrimSpace(line), 64)
}

// pass has two goroutines pass a token while others wait for one that never comes,
// and says how often it went around for each line it reads.
func pass(waiting int) {
	never := make(chan int)
	for range waiting {
		go func() { <-never }()
	}
	there, back := make(chan int), make(chan int)
	var turns atomic.Int64
	go func() {
		for v := range there {
			back <- v
		}
	}()
	go func() {
		for {
			there <- 1
			turns.Add(1)
			<-back
		}
	}()
	fmt.Println("ready")
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		fmt.Println(turns.Load())
	}
}

// goroutines is the table of Go services with many goroutines.
func (r *Report) goroutines(p printer) {
	if len(r.Goroutines) == 0 {
		return
	}
	p("\n## Many goroutines\n")
	p("A Go service on one processor whose goroutines wait in a channel, but two, which pass")
	p("a token as fast as they can: what it does, and what the collector takes, without looks at goroutines")
	p("(`watch::goroutine_interval: 0s`) and with them (the default). A look reads 1024")
	p("goroutines and 64 stacks at the most, however many there are.\n")
	p("| goroutines | looks/s | turns/s | collector, CPUs | MiB |\n|---|---|---|---|---|")
	for _, g := range r.Goroutines {
		p("| %d | %.1f | %.0f | %.4f | %.0f |", g.Waiting, g.Looked, g.Turns, g.CPU, g.RSS)
	}
}
