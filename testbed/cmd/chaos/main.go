// Command chaos runs the collector beside what hurts it and writes
// testbed/out/chaos.json. Its arguments choose faults by name; -short runs those
// of continuous integration.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/perfscope/perfscope/testbed/chaos"
	"github.com/perfscope/perfscope/testbed/runner"
)

func main() {
	short := flag.Bool("short", false, "run a few only")
	learn := flag.Duration("learn", 70*time.Second, "for how long the victim is healthy first")
	lock := flag.String("lock", "", "a file that is locked (flock) from the first fault on, for others who measure on this machine")
	flag.Parse()
	locked := lockOnce()
	runner.Main(func(ctx context.Context, o runner.Options) (bool, error) {
		root := filepath.Dir(filepath.Dir(o.Config))
		if err := chaos.Programs(ctx, root); err != nil {
			return false, err
		}
		options := chaos.Options{Root: root, Binary: o.Binary, Config: o.Config, Record: o.Record, Out: o.Out, Learn: *learn, Ready: func() error { return locked(*lock) }}
		faults := chaos.Faults()
		for _, name := range flag.Args() {
			if !slices.ContainsFunc(faults, func(f chaos.Fault) bool { return f.Name == name }) {
				return false, fmt.Errorf("there is no fault %q", name)
			}
		}
		var results []chaos.Result
		ok := true
		for _, f := range faults {
			if *short && !f.Short || flag.NArg() > 0 && !slices.Contains(flag.Args(), f.Name) {
				continue
			}
			r := chaos.Run(ctx, f, options)
			if ctx.Err() != nil {
				return false, ctx.Err()
			}
			results = append(results, r)
			ok = ok && r.OK()
			counted := "-"
			if r.LostCounted != nil {
				counted = fmt.Sprint(*r.LostCounted)
			}
			fmt.Printf("%-28s survived %-5v found %-5v (%4.1f s)  counted %-5s (%d made, %d delivered, %d lost)  %4d MiB  stalled %4.2f s  %s\n",
				r.Fault, r.Survived, r.VictimFound, r.FoundAfter, counted, r.Made, r.Delivered, r.Counted, r.MaxRSS, r.StalledFor, r.Error)
			if err := save(results, filepath.Join(o.Out, "chaos.json")); err != nil {
				return false, err
			}
		}
		return ok, nil
	})
}

// lockOnce returns what locks a file at its first call, until this process ends.
func lockOnce() func(name string) error {
	var held *os.File
	return func(name string) (err error) {
		if name == "" || held != nil {
			return nil
		}
		if held, err = os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o666); err != nil {
			return err
		}
		return syscall.Flock(int(held.Fd()), syscall.LOCK_EX)
	}
}

// save writes results in the order of the faults; those of faults that were not
// run now stay as they are.
func save(results []chaos.Result, file string) error {
	var all, known []chaos.Result
	if data, err := os.ReadFile(file); err == nil {
		if err := json.Unmarshal(data, &known); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	for _, f := range chaos.Faults() {
		is := func(r chaos.Result) bool { return r.Fault == f.Name }
		if i := slices.IndexFunc(results, is); i >= 0 {
			all = append(all, results[i])
		} else if i := slices.IndexFunc(known, is); i >= 0 {
			all = append(all, known[i])
		}
	}
	return runner.WriteJSON(all, file)
}
