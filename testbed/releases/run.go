package releases

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/perfscope/perfscope/pkg/inference"
	"github.com/perfscope/perfscope/testbed/agent"
	"github.com/perfscope/perfscope/testbed/load"
	"github.com/perfscope/perfscope/testbed/scoreboard"
	"github.com/perfscope/perfscope/testbed/server"
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
	var stop []func()
	defer func() {
		for _, end := range stop {
			end()
		}
	}()
	for _, p := range pairs {
		for _, side := range []struct{ name, tags string }{{p.Name + "-before", p.Before}, {p.Name + "-after", p.After}} {
			s, err := server.StartBureau(ctx, side.name, side.tags)
			if err != nil {
				return nil, err
			}
			l := load.Start(ctx, load.Config{Dial: dial(s.Addr), Workers: 4, Rate: o.Rate})
			stop = append(stop, func() { l.Stop(); _ = s.Stop() })
		}
	}
	env := []string{"PERFSCOPE_RECORD_FILE=" + file}
	var args []string
	if o.Frequency > 0 {
		args = []string{"--config", fmt.Sprintf("yaml:receivers::syscall::watch::sample_frequency: %d", o.Frequency)}
	}
	a, err := agent.Start(ctx, agent.Config{Binary: o.Binary, File: o.Config, Overlays: []string{o.Record}, Out: o.Out, Env: env, Args: args})
	if err != nil {
		return nil, err
	}
	select {
	case <-time.After(o.Length):
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err := errors.Join(err, a.Stop()); err != nil {
		return nil, err
	}
	return Judge(file, pairs)
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

// client asks for orders over one connection.
type client struct {
	http *http.Client
	addr string
}

func dial(addr string) func() (load.Client, error) {
	return func() (load.Client, error) {
		return &client{&http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1}, Timeout: 5 * time.Second}, addr}, nil
	}
}

func (c *client) Request(r *rand.Rand) error {
	q, err := http.NewRequest(http.MethodGet, fmt.Sprintf("http://%s/orders/%d", c.addr, 7*r.IntN(4000)), nil) //nolint:noctx // it has a timeout
	if err != nil {
		return err
	}
	q.Header.Set("Authorization", strings.Repeat("t", 32))
	answer, err := c.http.Do(q)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("answered %s", answer.Status)
	}
	return nil
}

func (c *client) Close() error {
	c.http.CloseIdleConnections()
	return nil
}
