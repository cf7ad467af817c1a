package inference

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/perfscope/perfscope/pkg/inference/thin"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// record lets a server live and gives what it does to a recorder, too.
func (s *server) record(seconds int, l load, r *thin.Recorder) (intervals []*thin.Interval) {
	s.t.Helper()
	for range seconds {
		o := secondOf{s, map[int32]*threadtrace.Batch{}}
		cpu := o.compute(l.busy)
		for i, w := range l.waits {
			o.wait(int32(1+i), w, tick)
		}
		for _, c := range l.calls {
			o.call(c)
		}
		for _, w := range l.wakings {
			o.wake(w)
		}
		o.order = func(batches []*threadtrace.Batch) {
			for _, b := range batches {
				slices.SortStableFunc(b.Events, func(a, b threadtrace.Event) int { return int(a.Time - b.Time) })
				r.AddBatch(b)
			}
		}
		o.deliver()
		c := threadtrace.Coverage{
			Start: s.now, End: s.now + second, Traced: time.Second, SamplePeriod: time.Second / 49,
			SnapshotPeriod: 200 * time.Millisecond, CPUTime: time.Duration(cpu * 1e9), Threads: 1, Functions: 1000,
		}
		s.analyzer.AddCoverage(c)
		r.AddCoverage(c)
		s.now += second
		s.found = append(s.found, s.analyzer.Advance(s.now-2*second)...)
		intervals = append(intervals, r.Advance(s.now-2*second, s.now)...)
	}
	return intervals
}

// stored writes intervals and reads them again.
func stored(t *testing.T, intervals []*thin.Interval) (again []*thin.Interval) {
	t.Helper()
	var stream bytes.Buffer
	w := thin.NewWriter(&stream)
	if err := w.Begin(thin.Service{Name: "server", Arch: "amd64"}); err != nil {
		t.Fatal(err)
	}
	for _, i := range intervals {
		if err := w.Write(i); err != nil {
			t.Fatal(err)
		}
	}
	for r := thin.NewReader(&stream); ; {
		i, _, err := r.Next()
		if errors.Is(err, io.EOF) {
			return again
		}
		if err != nil {
			t.Fatal(err)
		}
		again = append(again, i)
	}
}

// faulty are what a server may come to.
func faulty() map[string]load {
	return map[string]load{
		"on CPU": with(steady(0.5), func(l *load) { l.busy["scan find handle loop main"] = 0.7; l.waits[0].share = 0.2 }),
		"sync": with(steady(0.5), func(l *load) {
			l.waits[0].share = 0.2
			l.waits = append(l.waits[:1:1], site{stack: "@fdatasync flush handle loop main", call: "fdatasync", share: 0.7})
			l.calls = append(l.calls, calls{"fdatasync", 50, 14 * time.Millisecond, 0, "@fdatasync flush handle loop main"})
		}),
		"stuck": with(steady(1), func(l *load) {
			l.waits[1] = site{stack: "@read ask_peer job worker", call: "read", share: 1, stuck: true}
		}),
		"refused": with(steady(1), func(l *load) {
			l.calls = append(l.calls, calls{"openat", 8, 2 * time.Microsecond, -24, "@open open_file handle loop main"})
		}),
		"convoy": convoy(),
		"timed out": with(steady(0.3), func(l *load) {
			l.waits[0] = site{stack: "@epoll_wait nap handle loop main", call: "epoll_wait", share: 0.9}
			l.calls = append(l.calls, calls{"epoll_wait", 30, 30 * time.Millisecond, 0, "@epoll_wait nap handle loop main"})
		}),
	}
}

func TestIntervalsAreJudgedAsTheRecordsAre(t *testing.T) {
	for name, fault := range faulty() {
		for _, length := range []time.Duration{time.Second, 5 * time.Second} {
			t.Run(fmt.Sprint(name, " ", length), func(t *testing.T) {
				s := newServer(t, 1)
				r := thin.NewRecorder("amd64", length)
				intervals := s.record(60, steady(1), r)
				intervals = append(intervals, s.record(30, fault, r)...)
				intervals = append(intervals, s.record(30, steady(1), r)...)
				intervals = append(intervals, r.Advance(s.now, s.now)...)
				s.found = append(s.found, s.analyzer.Advance(s.now)...)
				if len(s.found) == 0 {
					t.Fatal("nothing to compare: the records told nothing")
				}
				a := NewAnalyzer(DefaultConfig(), "amd64")
				var found []Anomaly
				for _, i := range stored(t, intervals) {
					a.AddInterval(i)
					found = append(found, a.Advance(i.End-i.End%(5*second))...)
				}
				if len(found) != len(s.found) {
					t.Fatalf("%d anomalies, %d in the records", len(found), len(s.found))
				}
				for i := range found {
					if err := differ(&s.found[i], &found[i]); err != nil {
						t.Errorf("anomaly %d: %v", i, err)
					}
				}
			})
		}
	}
}

// differ says what two anomalies differ in, but for rounding.
func differ(raw, got *Anomaly) error {
	switch {
	case raw.ID != got.ID || raw.State != got.State || raw.Pattern != got.Pattern || raw.Kind != got.Kind || raw.Summary != got.Summary:
		return fmt.Errorf("%s %s %s %s %q, want %s %s %s %s %q",
			got.ID, got.State, got.Pattern, got.Kind, got.Summary, raw.ID, raw.State, raw.Pattern, raw.Kind, raw.Summary)
	case !slices.Equal(functionsOf(raw.Suspects), functionsOf(got.Suspects)):
		return fmt.Errorf("suspects %v, want %v", functionsOf(got.Suspects), functionsOf(raw.Suspects))
	case math.Abs(raw.Score-got.Score) > 1e-3*raw.Score:
		return fmt.Errorf("score %v, want %v", got.Score, raw.Score)
	case len(raw.Units) != len(got.Units):
		return fmt.Errorf("%d stretches of threads, want %d", len(got.Units), len(raw.Units))
	}
	return nil
}

// Moved by whole seconds, intervals form the hops that the moved records form.
func TestIntervalsFormHopsAtAnyPhase(t *testing.T) {
	fault := faulty()["on CPU"]
	s := newServer(t, 2)
	r := thin.NewRecorder("amd64", time.Second)
	intervals := append(s.record(60, steady(1), r), s.record(30, fault, r)...)
	for phase := range int64(5) {
		moved := newServer(t, 2)
		moved.now += phase * second
		moved.record(60, steady(1), thin.NewRecorder("amd64", time.Second))
		moved.record(30, fault, thin.NewRecorder("amd64", time.Second))
		a := NewAnalyzer(DefaultConfig(), "amd64")
		var found []Anomaly
		for _, i := range stored(t, intervals) {
			i.Shift(time.Duration(phase) * time.Second)
			a.AddInterval(i)
			found = append(found, a.Advance(i.End-i.End%(5*second))...)
		}
		if len(found) == 0 || len(found) > len(moved.found) {
			t.Fatalf("phase %d: %d anomalies, the records have %d", phase, len(found), len(moved.found))
		}
		for i := range found {
			if err := differ(&moved.found[i], &found[i]); err != nil {
				t.Errorf("phase %d: anomaly %d: %v", phase, i, err)
			}
		}
	}
}
