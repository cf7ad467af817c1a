package bench

import (
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
)

// Stage is a part of the way of an event from the kernel's ring to the features
// of its unit.
type Stage struct {
	Name string  `json:"name"`
	NS   float64 `json:"ns_per_event"`
	// Allocations and Bytes are per event.
	Allocations float64 `json:"allocations_per_event"`
	Bytes       float64 `json:"bytes_per_event"`
}

// stages are the benchmarks of the parts; each works on stageEvents an operation.
var stages = []struct{ name, pkg, bench string }{
	{"the ring of a CPU is read, in order with the others'", "./internal/capture", "^BenchmarkReader$"},
	{"calls are held by thread, and packed into log records", "./receiver/syscallreceiver", "^BenchmarkCalls$/^threads=16$"},
	{"stacks, at one in 16 calls, are handed to who unwinds them", "./receiver/syscallreceiver", "^BenchmarkSeparation$"},
	{"records are read, and folded into units and hops", "./processor/perfscopeprocessor", "^BenchmarkFeatures$"},
}

const stageEvents = 100_000

// benchLine is the last part of a benchmark's line, with -benchmem.
var benchLine = regexp.MustCompile(`([\d.]+) ns/event(?:\s+[\d.]+ ns/stack)?\s+(\d+) B/op\s+(\d+) allocs/op`)

// MeasureStages runs the benchmarks of the parts, with the Go tool chain, in the
// repository.
func MeasureStages(ctx context.Context, repository string, say func(string, ...any)) ([]Stage, error) {
	var all []Stage
	for _, s := range stages {
		cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", s.bench, "-benchmem", "-benchtime", "200x", "-count", "5", s.pkg)
		cmd.Dir = repository
		out, err := cmd.CombinedOutput()
		if err != nil {
			return nil, fmt.Errorf("%v: %w: %s", cmd.Args, err, out)
		}
		var ns, bytes, allocations []float64
		for _, m := range benchLine.FindAllSubmatch(out, -1) {
			for i, to := range []*[]float64{&ns, &bytes, &allocations} {
				v, _ := strconv.ParseFloat(string(m[i+1]), 64)
				*to = append(*to, v)
			}
		}
		if len(ns) == 0 {
			return nil, fmt.Errorf("%v printed no ns/event: %s", cmd.Args, out)
		}
		all = append(all, Stage{s.name, median(ns), median(allocations) / stageEvents, median(bytes) / stageEvents})
		say("%-54s %5.1f ns, %.4f allocations, %.1f bytes an event", s.name, median(ns), median(allocations)/stageEvents, median(bytes)/stageEvents)
	}
	return all, nil
}
