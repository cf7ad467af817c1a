// Command compare compares two builds of a service with each other, each from a
// recording: what a unit of work costs, and which functions are behind the difference.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"

	"github.com/perfscope/perfscope/pkg/inference"
	"github.com/perfscope/perfscope/testbed/scoreboard"
)

const usage = `usage: compare [options] BEFORE AFTER

Holds what two recordings (config/record.yaml) have of two builds of a service
against each other. Both may be in one file: name it twice, and the services apart.

`

func main() {
	flag.Usage = func() { fmt.Fprint(os.Stderr, usage); flag.PrintDefaults() }
	before := flag.String("before", "", "the `service` in the first file; needed when there are several")
	after := flag.String("after", "", "the same of the second file")
	flag.Parse()
	if flag.NArg() != 2 {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(flag.Arg(0), *before, flag.Arg(1), *after); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(fileBefore, before, fileAfter, after string) error {
	a, err := memoryOf(fileBefore, before)
	if err != nil {
		return err
	}
	b, err := memoryOf(fileAfter, after)
	if err != nil {
		return err
	}
	r, ok := inference.CompareMemories(a, b)
	if !ok {
		return errors.New("there is too little of one of them: forty seconds of life are the least")
	}
	print(&r)
	return nil
}

// memoryOf is what is known of a service after a recording: of its last hour.
func memoryOf(file, name string) (*inference.Memory, error) {
	services, err := scoreboard.Read(file, func(s string, _ int64) bool { return name == "" || s == name })
	switch {
	case err != nil:
		return nil, err
	case len(services) == 0:
		return nil, fmt.Errorf("%s has no service %q", file, name)
	case len(services) > 1:
		return nil, fmt.Errorf("%s has %d service instances, of %s and %s for instance; choose one by its name", file, len(services), services[0].Name, services[1].Name)
	}
	cfg := inference.DefaultConfig()
	cfg.Window = 720 * cfg.Hop
	a := inference.NewAnalyzer(cfg, services[0].Arch)
	a.Follow(services[0].Instance, services[0].Program, 0)
	scoreboard.Play(services[0], a)
	m := a.Memory()
	if m == nil {
		return nil, fmt.Errorf("%s has too little of %s to know it", file, services[0].Name)
	}
	return m, nil
}

func print(r *inference.Release) {
	fmt.Printf("%s: %d hops against %d, by %s\n", r.Verdict, r.After, r.Before, r.Unit)
	for _, c := range []struct {
		name string
		cost inference.ReleaseCost
	}{{"CPU", r.CPU}, {"waiting", r.Waiting}} {
		fmt.Printf("  %-8s %8.1f µs, was %8.1f µs (%+.1f %%, standard error %.1f %%)\n", c.name, c.cost.After*1e6, c.cost.Before*1e6, 100*c.cost.Change(), 100*c.cost.Error)
	}
	fmt.Printf("  a change of a function by %.1f %% of the CPU time would have been seen\n", 100*r.Smallest)
	for _, l := range []struct {
		name string
		list []inference.ReleaseFunction
	}{{"dearer", r.Dearer}, {"cheaper", r.Cheaper}} {
		for i := range l.list {
			f := &l.list[i]
			fmt.Printf("  %-8s %-50s %8.1f µs, was %8.1f µs (%+.1f %% of the service, %v)\n", l.name, f.Function, f.After*1e6, f.Before*1e6, 100*f.Share, f.Evidence)
		}
	}
}
