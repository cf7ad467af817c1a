package signatures

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/perfscope/perfscope/testbed/agent"
	"github.com/perfscope/perfscope/testbed/load"
	"github.com/perfscope/perfscope/testbed/runner"
	"github.com/perfscope/perfscope/testbed/scenario"
)

// Extraction is what an extraction left.
type Extraction struct {
	// Directory has the signature files, Recording the raw records, if they
	// were asked for.
	Directory, Recording string
	// Load is what the clients saw, with a stack taken at every call.
	Load load.Figures
}

// Paths says where the extraction of a subject is.
func Paths(o runner.Options, s Subject) Extraction {
	dir := filepath.Join(o.Out, "signatures-"+s.Name)
	return Extraction{Directory: filepath.Join(dir, "signatures"), Recording: filepath.Join(dir, "records.bin")}
}

// Extract runs a subject's server under its load for a while, with a collector
// that has config/extract.yaml beside it, and with record also
// config/record.yaml. What was extracted before is removed.
func Extract(ctx context.Context, s Subject, o runner.Options, d time.Duration, record bool) (x Extraction, err error) {
	sc, err := s.scenario()
	if err != nil {
		return x, err
	}
	x = Paths(o, s)
	out := filepath.Dir(x.Directory)
	if err := errors.Join(os.RemoveAll(out), os.MkdirAll(out, 0o755)); err != nil {
		return x, err
	}
	work, err := sc.Start(ctx)
	if err != nil {
		return x, err
	}
	defer func() {
		err = errors.Join(err, work.Server.Stop())
		if work.Stop != nil {
			work.Stop()
		}
	}()
	clients := load.Start(ctx, work.Load)
	defer clients.Stop()

	cfg := agent.Config{
		Binary: o.Binary, File: filepath.Join(filepath.Dir(o.Config), "extract.yaml"), Out: out,
		Env: []string{"PERFSCOPE_SIGNATURES=" + x.Directory, "PERFSCOPE_LOAD=" + sc.Normal},
	}
	if s.Targets != "" {
		cfg.Env = append(cfg.Env, "PERFSCOPE_TARGETS="+s.Targets)
	}
	if record {
		cfg.Overlays = []string{o.Record}
		cfg.Env = append(cfg.Env, "PERFSCOPE_RECORD_FILE="+x.Recording)
	} else {
		x.Recording = ""
	}
	collector, err := agent.Start(ctx, cfg)
	if err != nil {
		return x, err
	}
	defer func() {
		if text, err := collector.Metrics(ctx); err == nil {
			_ = os.WriteFile(filepath.Join(out, "metrics.txt"), []byte(text), 0o644) // nice to have
		}
		err = errors.Join(err, collector.Stop())
	}()
	clients.Take()
	err = vary(ctx, s, work, d)
	x.Load = clients.Take()
	switch {
	case err != nil || ctx.Err() != nil:
		return x, errors.Join(err, ctx.Err())
	case x.Load.Requests == 0 || x.Load.Failures > x.Load.Requests/4:
		return x, fmt.Errorf("the load failed: %d requests answered, %d failed: %w", x.Load.Requests, x.Load.Failures, x.Load.LastError)
	}
	return x, nil
}

func vary(ctx context.Context, s Subject, work scenario.Workload, d time.Duration) error {
	ctx, end := context.WithTimeout(ctx, d)
	defer end()
	varying := varyFault
	if s.Vary != nil {
		varying = s.Vary
	}
	if err := varying(ctx, work); err != nil && ctx.Err() == nil {
		return err
	}
	<-ctx.Done()
	return nil
}
