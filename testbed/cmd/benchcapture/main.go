// Command benchcapture measures what recording costs, prints it, and writes
// testbed/out/capture.json and docs/performance.md. Without arguments it does
// all of it; "calls", "wakings", "stages", "scale", "interpreted", "goroutines", "duty", "servers" and names of servers
// choose parts, and what was measured before is kept; "document" only writes it
// anew. "profiled", which has to be asked for and needs `make build-full`, measures the
// eBPF profiler beside PerfScope. "context", which has to be asked for, measures what it costs to have the
// trace context read, and writes testbed/out/trace-context.json.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/perfscope/perfscope/testbed/bench"
	"github.com/perfscope/perfscope/testbed/runner"
)

func main() {
	if kind := os.Getenv(bench.LoopEnv); kind != "" {
		bench.Loop(kind)
		return
	}
	rounds := flag.Int("rounds", 3, "how often each server is measured in each mode")
	flag.Parse()
	runner.Main(func(ctx context.Context, o runner.Options) (bool, error) {
		return true, run(ctx, o, flag.Args(), max(1, *rounds))
	})
}

// dutyFor is how long the tax is followed over time.
const dutyFor = 10 * time.Second

func run(ctx context.Context, o runner.Options, parts []string, rounds int) error {
	say := func(format string, args ...any) { fmt.Printf(format+"\n", args...) }
	if slices.Equal(parts, []string{"context"}) {
		return traceContext(ctx, o, rounds, say)
	}
	file := filepath.Join(o.Out, "capture.json")
	r, err := bench.Load(file)
	if err != nil {
		return fmt.Errorf("%s: %w; remove it to begin anew", file, err)
	}
	r.Machine = machine()
	wanted := func(part string) bool { return len(parts) == 0 || slices.Contains(parts, part) }
	write := func() error {
		r.Summarise()
		doc, err := os.Create(filepath.Join(filepath.Dir(o.Config), "..", "docs", "performance.md"))
		if err != nil {
			return err
		}
		r.Markdown(doc)
		return errors.Join(doc.Close(), runner.WriteJSON(r, file))
	}
	save := func(part string) error {
		r.Done(part)
		return write()
	}
	if wanted("calls") {
		for _, kind := range []string{"getppid", "readwrite"} {
			if r.Calls[kind], err = bench.MeasureCalls(ctx, kind, say); err != nil {
				return err
			}
		}
		if err := save("calls"); err != nil {
			return err
		}
	}
	if wanted("wakings") {
		if r.Calls["handover"], err = bench.MeasureWakings(ctx, say); err != nil {
			return err
		}
		if err := save("wakings"); err != nil {
			return err
		}
	}
	for _, s := range bench.Servers() {
		if !wanted(s.Name) && !wanted("servers") {
			continue
		}
		d, err := bench.MeasureServer(ctx, o, s.Name, rounds, say)
		if err != nil {
			return err
		}
		r.Details[s.Name] = d
		if err := save("servers"); err != nil {
			return err
		}
	}
	if wanted("stages") {
		if r.Stages, err = bench.MeasureStages(ctx, filepath.Join(filepath.Dir(o.Config), ".."), say); err != nil {
			return err
		}
		if err := save("stages"); err != nil {
			return err
		}
	}
	if wanted("scale") {
		if r.Scales, err = bench.MeasureScales(ctx, o, say); err != nil {
			return err
		}
		if err := save("scale"); err != nil {
			return err
		}
	}
	if wanted("interpreted") {
		if r.Interpreted, err = bench.MeasureInterpreted(ctx, o, say); err != nil {
			return err
		}
		if err := save("interpreted"); err != nil {
			return err
		}
	}
	if wanted("goroutines") {
		if r.Goroutines, err = bench.MeasureGoroutines(ctx, o, say); err != nil {
			return err
		}
		if err := save("goroutines"); err != nil {
			return err
		}
	}
	// It needs the full distribution, so it has to be asked for.
	if slices.Contains(parts, "profiled") {
		if r.Profiled, err = bench.MeasureProfiled(ctx, o, rounds, say); err != nil {
			return err
		}
		if err := save("profiled"); err != nil {
			return err
		}
	}
	if wanted("duty") {
		if r.Duty, err = bench.MeasureDuty(ctx, o, dutyFor); err != nil {
			return err
		}
		return save("duty")
	}
	return write()
}

func traceContext(ctx context.Context, o runner.Options, rounds int, say func(string, ...any)) error {
	c, err := bench.MeasureContext(ctx, o, rounds, say)
	if err != nil {
		return err
	}
	say("trace_context: payload costs %s %.1f %% of its throughput (quartiles %.1f and %.1f), %.0f ns of CPU time a request; %.1f %% of the contexts found",
		c.Server, c.Loss, c.Lower, c.Upper, c.NS, 100*c.Found)
	return runner.WriteJSON(c, filepath.Join(o.Out, "trace-context.json"))
}

// machine says what was measured on.
func machine() string {
	var u unix.Utsname
	_ = unix.Uname(&u)
	return fmt.Sprintf("%d processors, Linux %s, %s", runtime.NumCPU(), strings.TrimRight(unix.ByteSliceToString(u.Release[:]), "\x00"), runtime.GOARCH)
}
