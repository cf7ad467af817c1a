package tail

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/perfscope/perfscope/pkg/inference"
	"github.com/perfscope/perfscope/testbed/agent"
	"github.com/perfscope/perfscope/testbed/baseline"
	"github.com/perfscope/perfscope/testbed/load"
	"github.com/perfscope/perfscope/testbed/recording"
	"github.com/perfscope/perfscope/testbed/replay"
	"github.com/perfscope/perfscope/testbed/runner"
	"github.com/perfscope/perfscope/testbed/server"
)

// Result is what was said of one scenario.
type Result struct {
	Scenario string `json:"scenario"`
	// Share of the requests goes the slow way.
	Share float64 `json:"share"`
	// Spans tells whether spans came.
	Spans bool `json:"spans"`
	// Rank is the place of the true function, zero when it is not named.
	Rank int `json:"rank"`
	// Explained is the share of the extra time that is explained, Difference what
	// the slow requests are called.
	Explained  float64 `json:"explained"`
	Difference string  `json:"difference,omitempty"`
	// Baselines are the ranks by other means in the same run.
	Baselines Baselines `json:"baselines"`
	// Seconds is from the first request to the first explanation, Scope the share of
	// the program's functions that is named.
	Seconds  float64  `json:"seconds,omitempty"`
	Scope    float64  `json:"search_scope,omitempty"`
	Suspects []string `json:"suspects,omitempty"`
	Summary  string   `json:"summary,omitempty"`
	// Warnings is how many records came that are more than information.
	Warnings int `json:"warnings"`
	// Annotated of the slow spans have an event, Wrongly of the others.
	Annotated float64 `json:"annotated,omitempty"`
	Wrongly   float64 `json:"wrongly,omitempty"`
	Honest    bool    `json:"honest,omitempty"`
	// Replayed is set when the recording of a run was judged once more.
	Replayed bool `json:"replayed,omitempty"`
	// Unseen is set where nothing was chosen while looking at it.
	Unseen bool `json:"unseen,omitempty"`
	// Right is set when an honest mixture is named as one.
	Right bool `json:"right,omitempty"`
}

// Baselines are the ranks of the true function by what there is without PerfScope.
type Baselines struct {
	// CPU is a profile of the CPU by innermost function, Wall of the time of all threads
	// by innermost function of the application, without kinds.
	CPU  int `json:"cpu_profile"`
	Wall int `json:"wall_clock"`
	// Spans is by the spans alone: they name a request, and no function.
	Spans int `json:"spans_only"`
}

const workers = 6

// Run runs a scenario for a time and returns what was said with spans and, of the same
// run, without.
func Run(ctx context.Context, sc Scenario, share float64, length time.Duration, o runner.Options) (results []Result, err error) {
	out := filepath.Join(o.Out, "tail", fmt.Sprintf("%s-%g", sc.Name, 100*share))
	if err := os.MkdirAll(out, 0o755); err != nil {
		return nil, err
	}
	way := server.SlowWay{Way: sc.Way, Permille: int(1000 * share)}
	if sc.Peer {
		addr, stop, err := peer()
		if err != nil {
			return nil, err
		}
		defer stop()
		way.Upstream = addr
	}
	s, err := sc.Start(ctx, way)
	if err != nil {
		return nil, err
	}
	defer func() {
		err = errors.Join(err, s.Stop())
		server.RemovePerfMap(s)
	}()
	cfg, records, err := o.Agent(out)
	if err != nil {
		return nil, err
	}
	otlp, err := server.FreeAddr()
	if err != nil {
		return nil, err
	}
	spans := filepath.Join(out, "spans.json")
	_ = os.Remove(spans)
	cfg.Env = append(cfg.Env, "PERFSCOPE_OTLP_HTTP_ENDPOINT="+otlp, "PERFSCOPE_SPAN_EXPORTERS=[file/spans]", "PERFSCOPE_SPAN_FILE="+spans)
	a, err := agent.Start(ctx, cfg)
	if err != nil {
		return nil, err
	}
	exporter := newExporter(otlp)
	sending, stop := context.WithCancel(ctx)
	sent := make(chan struct{})
	go func() { defer close(sent); exporter.run(sending) }()
	began := time.Now()
	l := load.Start(ctx, load.Config{Dial: sc.dial(s, way.Permille, exporter), Workers: workers, Rate: cmp.Or(sc.Rate, 60)})
	select {
	case <-time.After(length):
	case <-ctx.Done():
	}
	figures := l.Take()
	l.Stop()
	ended := time.Now()
	pids := map[int]bool{s.PID(): true}
	for _, pid := range server.Descendants(s.PID()) {
		pids[pid] = true
	}
	stop()
	<-sent
	if err := errors.Join(a.Stop(), exporter.err, ctx.Err()); err != nil {
		return nil, err
	}
	if figures.Requests == 0 {
		return nil, fmt.Errorf("no request was answered: %w", figures.LastError)
	}
	base, err := baselines(records, sc, pids, baseline.Span{From: began.UnixNano(), To: ended.UnixNano()})
	if err != nil {
		return nil, err
	}
	with, err := said(a.AnomalyFile, sc.Service, began)
	if err != nil {
		return nil, err
	}
	with.Spans = true
	if with.Annotated, with.Wrongly, err = annotated(spans, exporter.slow); err != nil {
		return nil, err
	}
	without, err := replayed(records, sc.Service, began, nil, inference.DefaultConfig(), func(plog.Logs) {})
	if err != nil {
		return nil, err
	}
	for _, r := range []Result{with, without} {
		r.Scenario, r.Share, r.Baselines, r.Honest, r.Unseen = sc.Name, share, base, sc.Honest(), sc.Unseen
		r.judge(sc)
		results = append(results, r)
	}
	return results, nil
}

// Again judges what was recorded of a scenario once more, with spans and without, by
// the inference as it is now; with burst as if each burst had ended after so long.
func Again(sc Scenario, share float64, cfg inference.Config, burst time.Duration, o runner.Options) (results []Result, err error) {
	out := filepath.Join(o.Out, "tail", fmt.Sprintf("%s-%g", sc.Name, 100*share))
	records := filepath.Join(out, "records.bin")
	pick := func(plog.Logs) {}
	if burst > 0 {
		if pick, err = replay.Shorter(records, burst); err != nil {
			return nil, err
		}
	}
	spans, err := requests(filepath.Join(out, "spans.json"))
	if err != nil || len(spans) == 0 {
		return nil, errors.Join(err, fmt.Errorf("%s holds no spans", out))
	}
	for _, list := range [][]inference.Request{spans, nil} {
		r, err := replayed(records, sc.Service, time.Unix(0, spans[0].Start), list, cfg, pick)
		if err != nil {
			return nil, err
		}
		r.Scenario, r.Share, r.Honest, r.Unseen, r.Replayed = sc.Name, share, sc.Honest(), sc.Unseen, true
		r.judge(sc)
		results = append(results, r)
	}
	return results, nil
}

// judge ranks what was said.
func (r *Result) judge(sc Scenario) {
	for i, name := range r.Suspects {
		if agent.Named(name, sc.Truth) {
			r.Rank = i + 1
			break
		}
	}
	r.Right = sc.Honest() && r.Warnings == 0 && (r.Difference == sc.Says || r.Difference == "")
}

func baselines(records string, sc Scenario, pids map[int]bool, during baseline.Span) (b Baselines, err error) {
	if sc.Honest() {
		return b, nil
	}
	ranks, err := baseline.Rank(records, baseline.Question{PIDs: pids, Normal: during, Slow: during, Truth: sc.Truth})
	if err != nil && !errors.Is(err, recording.ErrTruncated) {
		return b, err
	}
	return Baselines{CPU: ranks.CPUSelf, Wall: ranks.Wall}, nil
}
