package runner

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/perfscope/perfscope/testbed/agent"
	"github.com/perfscope/perfscope/testbed/load"
	"github.com/perfscope/perfscope/testbed/server"
)

// say prints a line with the seconds since the run started.
func (r *run) say(format string, args ...any) {
	name := ""
	if r.named {
		name = r.sc.Name + ": "
	}
	fmt.Printf("[%4.0fs] %s%s\n", time.Since(r.started).Seconds(), name, fmt.Sprintf(format, args...))
}

func describe(f load.Figures) string {
	s := fmt.Sprintf("%.0f requests per second, a request takes %s in the median, %s at the 99th percentile",
		f.PerSecond, short(f.Median), short(f.P99))
	if f.Failures > 0 {
		s += fmt.Sprintf("; %d failed (%v)", f.Failures, f.LastError)
	}
	return s
}

func short(d time.Duration) string {
	if d < time.Millisecond {
		return fmt.Sprintf("%d µs", d.Microseconds())
	}
	return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000)
}

// PrintAnomaly prints what an anomaly says and marks the true functions.
func PrintAnomaly(a agent.Anomaly, truth []string) {
	fmt.Printf("\n        %s\n", wrap(a.Sentence, 84, "        "))
	fmt.Printf("\n        %s, score %.2f", a.Kind, a.Score)
	if a.Pattern != "" {
		fmt.Printf(", pattern: %s", a.Pattern)
	}
	fmt.Printf("\n\n        %4s  %5s  %-40s %-18s %s\n", "rank", "score", "function", "module", "seen in stacks")
	for i, s := range a.Suspects {
		mark := "  "
		if agent.Named(s.Function, truth) {
			mark = "<-"
		}
		fmt.Printf("        %4d  %5.2f  %-40s %-18s %s %s\n", i+1, s.Score, s.Function, s.Module, strings.Join(s.Evidence, ", "), mark)
	}
	if len(a.Deviations) > 0 {
		fmt.Printf("\n        %-28s %22s %22s\n", "system calls that changed", "normal", "now")
	}
	for _, d := range a.Deviations[:min(5, len(a.Deviations))] {
		name := d.Call
		if d.Error != "" {
			name += " " + d.Error
		}
		fmt.Printf("        %-28s %22s %22s\n", name, callFigures(d.Normal), callFigures(d.Abnormal))
	}
	if len(a.Path) > 0 {
		fmt.Printf("\n        path: %s\n", wrap(strings.Join(a.Path, " > "), 84, "              "))
	}
	fmt.Println()
}

func callFigures(f agent.Figures) string {
	if f.PerSecond == 0 {
		return "none"
	}
	return fmt.Sprintf("%.0f/s of %s", f.PerSecond, short(f.Mean))
}

// wrap breaks a sentence into lines of at most width characters.
func wrap(s string, width int, indent string) string {
	var b strings.Builder
	line := 0
	for _, word := range strings.Fields(s) {
		switch {
		case line == 0:
		case line+1+len(word) > width:
			b.WriteString("\n" + indent)
			line = 0
		default:
			b.WriteByte(' ')
			line++
		}
		b.WriteString(word)
		line += len(word)
	}
	return b.String()
}

// WriteJSON writes a result to out/demo.json and its like.
func WriteJSON(result any, file string) error {
	data, err := json.MarshalIndent(result, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, append(data, '\n'), 0o644)
}

// Main runs body with a context that Ctrl-C ends, in the repository's root,
// and exits with what it returns: 0, 1 when it returns false, 2 on an error,
// 130 when it was interrupted.
func Main(body func(ctx context.Context, o Options) (bool, error)) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	ok, err := false, error(nil)
	root, err := server.Repository()
	if err == nil {
		ok, err = body(ctx, Options{
			Binary: filepath.Join(root, "bin", "otelcol-perfscope"),
			Config: filepath.Join(root, "config", "agent.yaml"),
			Record: filepath.Join(root, "config", "record.yaml"),
			Out:    filepath.Join(root, "testbed", "out"),
		})
	}
	interrupted := ctx.Err() != nil
	stop()
	switch {
	case interrupted:
		fmt.Fprintln(os.Stderr, "interrupted; everything that was started has been stopped")
		os.Exit(130)
	case err != nil:
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(2)
	case !ok:
		os.Exit(1)
	}
}
