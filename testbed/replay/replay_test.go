package replay

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/perfscope/perfscope/processor/perfscopeprocessor"
	"github.com/perfscope/perfscope/testbed/agent"
	"github.com/perfscope/perfscope/testbed/recording"
)

// text is all that a replay told.
func text(t *testing.T, anomalies []agent.Anomaly) string {
	t.Helper()
	type whole struct {
		agent.Anomaly
		Evidence [][]string
	}
	var all []whole
	for _, a := range anomalies {
		w := whole{Anomaly: a}
		for _, s := range a.Suspects {
			w.Evidence = append(w.Evidence, s.Evidence)
		}
		all = append(all, w)
	}
	data, err := json.MarshalIndent(all, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func run(t *testing.T, path string, o Options) []agent.Anomaly {
	t.Helper()
	anomalies, err := Run(t.Context(), path, o)
	if err != nil {
		t.Fatal(err)
	}
	return anomalies
}

const small = "testdata/nginx-regex.zst"

func TestTheSameAtAnySpeed(t *testing.T) {
	first := run(t, small, Options{})
	if len(first) == 0 {
		t.Fatal("nothing was found: the test compares nothing")
	}
	want := text(t, first)
	again := func(how string, o Options) {
		t.Helper()
		if got := text(t, run(t, small, o)); got != want {
			t.Errorf("%s it is\n%s\nbut was\n%s", how, got, want)
		}
	}
	again("the second time", Options{})
	n := 0
	again("slowly", Options{Delivered: func(plog.Logs) {
		if n++; n%4 == 0 {
			time.Sleep(5 * time.Millisecond)
		}
	}})
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	again("on one processor", Options{})
}

func TestAWholeFileAndItsPieces(t *testing.T) {
	whole, err := os.ReadFile(small)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "records.bin")
	if err := os.WriteFile(path, whole[:len(whole)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	var seen Figures
	if _, err := Run(t.Context(), path, Options{Delivered: seen.Add}); !errors.Is(err, recording.ErrTruncated) {
		t.Errorf("half a file: %v", err)
	}
	if seen.Events == 0 || seen.Recorded() < 10*time.Second {
		t.Errorf("half a file is as good as none: %+v", seen)
	}
}

func TestOptions(t *testing.T) {
	none := run(t, small, Options{Pick: func(ld plog.Logs) {
		ld.ResourceLogs().RemoveIf(func(plog.ResourceLogs) bool { return true })
	}})
	if len(none) != 0 {
		t.Errorf("%d anomalies of no records", len(none))
	}
	told := 0
	one := run(t, small, Options{
		Adjust: func(c *perfscopeprocessor.Config) { c.MaxSuspects = 1 },
		Told:   func(agent.Anomaly) { told++ },
	})
	if len(one) == 0 || told != len(one) || len(one[0].Suspects) != 1 {
		t.Errorf("%d anomalies, %d told: %+v", len(one), told, one)
	}
	if _, err := Run(t.Context(), small, Options{Adjust: func(c *perfscopeprocessor.Config) { c.Hop = 0 }}); err == nil {
		t.Error("a configuration that makes no sense goes unseen")
	}
}

func TestACancelledReplayEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Run(ctx, small, Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// What the passed on records of others are is not told as found.
func TestOtherRecordsAreLeftOut(t *testing.T) {
	ld := plog.NewLogs()
	rec := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	rec.SetEventName("perfscope.anomaly")
	path := filepath.Join(t.TempDir(), "anomalies.json")
	data, err := (&plog.JSONMarshaler{}).MarshalLogs(ld)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append(data, '\n'), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := run(t, path, Options{}); len(got) != 0 {
		t.Errorf("an anomaly of another time was found: %+v", got)
	}
}

// What is found in real recordings; testdata/README.md says how they were
// made. Scores and the rest of the ranking may change, the cause may not.
func TestRealRecordings(t *testing.T) {
	for name, c := range map[string]struct {
		truth   []string
		pattern string
		onset   time.Time
	}{
		"postgres-lock": {
			truth:   []string{"ProcSleep", "WaitOnLock", "LockAcquireExtended"},
			pattern: "stuck_call", onset: time.Date(2026, 11, 23, 8, 30, 48, 0, time.UTC),
		},
		"redis-fsync": {
			truth:   []string{"flushAppendOnlyFile"},
			pattern: "sync_write_per_operation", onset: time.Date(2026, 11, 23, 9, 7, 35, 0, time.UTC),
		},
		"nginx-regex": {
			truth:   []string{"ngx_regex_exec", "ngx_http_regex_exec"},
			pattern: "long_computation", onset: time.Date(2026, 11, 23, 8, 33, 37, 0, time.UTC),
		},
	} {
		t.Run(name, func(t *testing.T) {
			anomalies := run(t, filepath.Join("testdata", name+".zst"), Options{})
			if len(anomalies) < 2 {
				t.Fatalf("%d records: one is raised, and cleared at the end", len(anomalies))
			}
			last := anomalies[len(anomalies)-1]
			if last.State != "cleared" || last.ID != anomalies[0].ID || last.Lost <= 0 {
				t.Errorf("at the end it is %s, %s lost", last.State, last.Lost)
			}
			for _, a := range anomalies[:len(anomalies)-1] {
				if !a.Warn || a.End.Before(c.onset) {
					t.Errorf("at %s, before the fault: %s", a.Seen.UTC(), a.Sentence)
				}
			}
			first := anomalies[0]
			if took := first.Seen.Sub(c.onset); took > 15*time.Second {
				t.Errorf("it was found %s after the fault", took)
			}
			if rank := first.Rank(c.truth); rank != 1 {
				t.Errorf("the true function is in place %d of %+v", rank, first.Suspects)
			}
			// The first hop may hold too little of it to say what it does.
			if last.Pattern != c.pattern || last.Rank(c.truth) != 1 {
				t.Errorf("in the end the pattern is %q, not %q, and the true function in place %d of %+v", last.Pattern, c.pattern, last.Rank(c.truth), last.Suspects)
			}
		})
	}
}
