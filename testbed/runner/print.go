package runner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
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
		f.PerSecond, agent.Short(f.Median), agent.Short(f.P99))
	if f.Failures > 0 {
		s += fmt.Sprintf("; %d failed (%v)", f.Failures, f.LastError)
	}
	return s
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

// ReadJSON reads a result that WriteJSON wrote; what is not there leaves it as it is.
func ReadJSON(file string, result any) error {
	data, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return json.Unmarshal(data, result)
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
