// Command compare compares two builds of a service with each other, each from a
// recording or a memory: what a unit of work costs, and which functions are behind the
// difference.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"

	"github.com/perfscope/perfscope/internal/memories"
	"github.com/perfscope/perfscope/pkg/inference"
	"github.com/perfscope/perfscope/testbed/scoreboard"
)

const usage = `usage: compare [options] BEFORE AFTER
       compare [options] STATE

Compares two builds of a service: what a unit of work costs, and which functions are
behind the difference. Each of BEFORE and AFTER is a recording (config/record.yaml) or
the file of a memory; both builds may be in one recording: name it twice, and the
services apart. STATE is a folder of memories (/var/lib/perfscope/state), of which the
two builds of -service that were written last are compared, or those of -before and
-after.

`

// options are those of the command line.
type options struct{ before, after, service string }

func main() {
	flag.Usage = func() { fmt.Fprint(os.Stderr, usage); flag.PrintDefaults() }
	var o options
	flag.StringVar(&o.before, "before", "", "the `service` in the first recording, when there are several; the build or version before in a folder")
	flag.StringVar(&o.after, "after", "", "the same of the second recording, or after")
	flag.StringVar(&o.service, "service", "", "the `service` in a folder, when there are several")
	flag.Parse()
	r, err := compare(flag.Args(), o)
	switch {
	case errors.Is(err, errUsage):
		flag.Usage()
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
	print(&r)
}

var errUsage = errors.New("one folder, or two files")

func compare(args []string, o options) (r inference.Release, err error) {
	var before, after *inference.Memory
	switch len(args) {
	case 1:
		before, after, err = fromFolder(args[0], o)
	case 2:
		if before, err = memoryOf(args[0], o.before); err == nil {
			after, err = memoryOf(args[1], o.after)
		}
	default:
		err = errUsage
	}
	if err != nil {
		return r, err
	}
	r, ok := inference.CompareMemories(before, after)
	if !ok {
		return r, errors.New("there is too little of one of them: forty seconds of life are the least")
	}
	return r, nil
}

// memoryOf is what a file has of a service: a memory, or a recording.
func memoryOf(file, name string) (*inference.Memory, error) {
	m, err := memories.ReadFile(file)
	if errors.Is(err, inference.ErrNotMemory) {
		return memoryOfRecording(file, name)
	}
	return m, err
}

// memoryOfRecording is what is known of a service after a recording: of its last hour.
func memoryOfRecording(file, name string) (*inference.Memory, error) {
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
