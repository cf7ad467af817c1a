package releases

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/perfscope/perfscope/pkg/inference"
	"github.com/perfscope/perfscope/testbed/agent"
	"github.com/perfscope/perfscope/testbed/scoreboard"
)

// Result is what was found of a pair.
type Result struct {
	Pair string `json:"pair"`
	Kind Kind   `json:"kind"`
	// Found is set when the change was told, with the truth among the first three; Rank
	// is the truth's place, Minutes after how much of the new build's life.
	Found   bool    `json:"found"`
	Rank    int     `json:"rank"`
	Minutes float64 `json:"minutes"`
	// False is set when a change was told and there is none.
	False bool `json:"false"`
	// Measured is the relative change of the CPU time of a request by the kernel's account,
	// which PerfScope does not see.
	Measured float64 `json:"measured"`
	// Verdict is what was told, First the first function, CPU the relative change of
	// what a unit of work costs, Smallest what would have been seen.
	Verdict  string  `json:"verdict"`
	First    string  `json:"first"`
	CPU      float64 `json:"cpu"`
	Smallest float64 `json:"smallest"`
}

// Options of Run.
type Options struct {
	Binary, Config, Record, Out string
	// Length is for how long both builds run side by side, Rate the requests of each per
	// second, Frequency that of the samples in Hz; zero is the shipped one.
	Length    time.Duration
	Rate      float64
	Frequency int
}

// Run has both builds of some pairs run side by side under the same load, and returns
// what is found of each.
func Run(ctx context.Context, pairs []Pair, o Options) (results []Result, err error) {
	if err := os.MkdirAll(o.Out, 0o755); err != nil {
		return nil, err
	}
	file := filepath.Join(o.Out, "records.bin")
	if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	sides, err := start(ctx, pairs, o.Rate)
	defer func() {
		for _, s := range sides {
			s.stop()
		}
	}()
	if err != nil {
		return nil, err
	}
	a, err := agent.Start(ctx, agent.Config{
		Binary: o.Binary, File: o.Config, Overlays: []string{o.Record}, Out: o.Out, Env: []string{"PERFSCOPE_RECORD_FILE=" + file}, Args: o.arguments(),
	})
	if err != nil {
		return nil, err
	}
	err = errors.Join(begin(sides), pause(ctx, o.Length))
	costs, costError := measure(sides)
	if err := errors.Join(err, costError, a.Stop()); err != nil {
		return nil, err
	}
	if results, err = Judge(file, pairs); err != nil {
		return nil, err
	}
	for i := range results {
		results[i].Measured = costs[2*i+1]/costs[2*i] - 1
	}
	return results, nil
}

func (o *Options) arguments() []string {
	if o.Frequency == 0 {
		return nil
	}
	return []string{"--config", fmt.Sprintf("yaml:receivers::syscall::watch::sample_frequency: %d", o.Frequency)}
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Judge reads what Run recorded.
func Judge(file string, pairs []Pair) (results []Result, err error) {
	services, err := scoreboard.Read(file, nil)
	if err != nil {
		return nil, err
	}
	of := map[string]*scoreboard.Service{}
	for _, s := range services {
		of[s.Name] = s
	}
	for _, p := range pairs {
		before, after := of[p.Name+"-before"], of[p.Name+"-after"]
		if before == nil || after == nil {
			return nil, fmt.Errorf("%s was not recorded", p.Name)
		}
		results = append(results, judge(p, before, after))
	}
	return results, nil
}

func judge(p Pair, before, after *scoreboard.Service) Result {
	out := Result{Pair: p.Name, Kind: p.Kind}
	old := inference.NewAnalyzer(inference.DefaultConfig(), before.Arch)
	old.Follow("before", before.Program, 0)
	scoreboard.Play(before, old)
	m := old.Memory()
	if m == nil {
		return out
	}
	next := inference.NewAnalyzer(inference.DefaultConfig(), after.Arch)
	next.Follow("after", after.Program, 0)
	next.Recall(m)
	next.Succeed()
	w := &watched{Analyzer: next}
	scoreboard.Play(after, w)
	if !w.told {
		return out
	}
	r := &w.release
	out.Minutes, out.Verdict, out.CPU, out.Smallest = w.after.Minutes(), string(r.Verdict), r.CPU.Change(), r.Smallest
	list := r.Dearer
	if p.Kind == Fix {
		list = r.Cheaper
	}
	for i := range list {
		if out.Rank == 0 && agent.Named(list[i].Function, p.Truth) {
			out.Rank = i + 1
		}
	}
	for _, l := range [][]inference.ReleaseFunction{list, r.Dearer, r.Cheaper} {
		if len(l) > 0 && out.First == "" {
			out.First = l[0].Function
		}
	}
	out.Found = p.Changed() && out.Rank >= 1 && out.Rank <= 3
	out.False = !p.Changed() && r.Verdict != inference.VerdictNoChange
	return out
}

// watched looks for the result of a release after each hop.
type watched struct {
	*inference.Analyzer
	first   int64
	told    bool
	release inference.Release
	after   time.Duration
}

func (w *watched) Advance(now int64) []inference.Anomaly {
	found := w.Analyzer.Advance(now)
	if w.first == 0 {
		w.first = now
	}
	if r, ok := w.Release(); ok && !w.told {
		w.told, w.release, w.after = true, r, time.Duration(now-w.first)
	}
	return found
}
