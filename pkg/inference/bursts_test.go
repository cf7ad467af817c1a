package inference

import (
	"math"
	"testing"
	"time"

	"github.com/perfscope/perfscope/internal/unit"
	"github.com/perfscope/perfscope/pkg/inference/internal/attribute"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// loop is a thread that polls, reads, and syncs, fifty times a second.
func loop(t *testing.T, from, to int64) *threadtrace.Batch {
	b := &threadtrace.Batch{ThreadID: 7, ThreadName: "loop"}
	const turn = second / 50
	for at := from; at < to; at += turn {
		call := func(name string, start, took int64, ret int32) {
			b.Events = append(b.Events, threadtrace.Event{Time: at + start, Duration: took, Number: number(t, name), Return: ret})
		}
		call("epoll_wait", 0, 10e6, 1)
		call("recvfrom", 10e6, 10e3, 64)
		call("fdatasync", 11e6, 5e6, 0)
		call("sendto", 17e6, 10e3, 128)
	}
	return b
}

// seen is a second of a service, flushed for two processes, of which the part
// between from and to was traced.
func seen(t *testing.T, s *Analyzer, at, from, to int64) {
	pieces := func() {
		for _, p := range []struct {
			start, end int64
			on         bool
		}{{at, from, false}, {from, to, true}, {to, at + second, false}} {
			c := threadtrace.Coverage{Start: p.start, End: p.end, SnapshotPeriod: time.Second / 5, CPUTime: time.Duration(p.end-p.start) / 2}
			if p.on {
				c.Traced = time.Duration(p.end - p.start)
			}
			s.AddCoverage(c)
		}
	}
	pieces()
	pieces()
	whole := loop(t, at, at+second)
	cut := *whole
	cut.Events = nil
	for _, e := range whole.Events {
		switch {
		case e.Time >= from && e.End() <= to:
		case e.Time < from && e.End() > from:
			e.Time, e.Duration, e.Cut = from, e.End()-from, true
		case e.Time < to && e.End() > to:
			e.Kind, e.Duration, e.Return, e.Cut = threadtrace.KindInFlight, to-e.Time, 0, true
		default:
			continue
		}
		cut.Events = append(cut.Events, e)
	}
	s.AddBatch(&cut)
}

// However little of the time is traced, and wherever a call is cut, the figures of
// the calls are the same.
func TestRatesArePerTracedSecond(t *testing.T) {
	for name, traced := range map[string]struct{ from, to int64 }{
		"all":                     {0, second},
		"three fifths":            {second / 5, second * 4 / 5},
		"a burst cut amid waits":  {second/5 + 4e6, second/2 + 4e6},
		"one cut amid disk waits": {second/5 + 13e6, second/2 + 13e6},
		"a tenth":                 {second * 3 / 10, second * 4 / 10},
	} {
		t.Run(name, func(t *testing.T) {
			s := NewAnalyzer(DefaultConfig(), "amd64")
			for i := range int64(20) {
				seen(t, s, epoch+i*second, epoch+i*second+traced.from, epoch+i*second+traced.to)
			}
			s.Advance(epoch + 20*second)
			if len(s.habit.hops) != 4 {
				t.Fatalf("%d hops closed", len(s.habit.hops))
			}
			duty := float64(traced.to-traced.from) / float64(second)
			for _, h := range s.habit.hops {
				if !h.Traced() || math.Abs(h.CallSeconds-5*duty) > 1e-6 {
					t.Fatalf("traced %v, for %v s of 5, want %v", h.Traced(), h.CallSeconds, 5*duty)
				}
				for _, call := range []struct {
					name string
					time float64
				}{{"recvfrom", 50 * 10e3}, {"fdatasync", 50 * 5e6}, {"sendto", 50 * 10e3}, {"epoll_wait", 50 * 10e6}} {
					got := h.Calls[unit.Key{Number: number(t, call.name)}]
					if math.Abs(got.N-50) > 0.01 {
						t.Errorf("%s: %v calls a second, want 50", call.name, got.N)
					}
					if math.Abs(got.Time-call.time)/call.time > 0.001 {
						t.Errorf("%s: %v ns a second, want %v", call.name, got.Time, call.time)
					}
				}
				if h.Measures[1] < 49.99 || h.Measures[1] > 50.01 || math.Abs(h.Measures[2]-50*64) > 1 {
					t.Errorf("reads %v of %v bytes a second", h.Measures[1], h.Measures[2])
				}
				if math.Abs(h.CPUTotal-1e9) > 1e6 {
					t.Errorf("CPU time %v, want a second a second, of two processes", h.CPUTotal)
				}
			}
		})
	}
}

// A unit whose begin or end was not traced has no length; those inside a burst are
// whole, also where it ends amid an idle wait.
func TestCutUnitsAreNotJudged(t *testing.T) {
	for name, tt := range map[string]struct {
		from, to int64
		units    int // of five seconds
	}{
		"all the time":  {0, second, 249}, // the last one's wait has not come
		"amid waits":    {second/5 + 4e6, second/2 + 4e6, 5 * 15},
		"amid the work": {second/5 + 13e6, second/2 + 13e6, 5 * 14},
	} {
		t.Run(name, func(t *testing.T) {
			s := NewAnalyzer(DefaultConfig(), "amd64")
			for i := range int64(5) {
				seen(t, s, epoch+i*second, epoch+i*second+tt.from, epoch+i*second+tt.to)
			}
			s.Advance(epoch + 5*second)
			if got := s.Stats().UnitsSeen; got < uint64(tt.units) || got > uint64(tt.units)+1 {
				t.Errorf("%d units, want %d", got, tt.units)
			}
			for _, u := range s.habit.hops[0].Units {
				if u.Cut || u.Duration() > 11e6 {
					t.Errorf("a unit of %v ns, cut %v", u.Duration(), u.Cut)
				}
			}
		})
	}
}

// Hops without tracing do not thin out what the others know.
func TestHopsWithoutTracingDoNotThinOutThePast(t *testing.T) {
	s := NewAnalyzer(DefaultConfig(), "amd64")
	for i := range int64(40) {
		at, to := epoch+i*second, epoch+i*second+second
		if i/5%2 == 1 {
			to = at // nothing
		}
		seen(t, s, at, at, to)
	}
	s.Advance(epoch + 40*second)
	past := attribute.MeansOf(s.newNormal(s.habit.hops).past)
	if got := past.Calls[unit.Key{Number: number(t, "fdatasync")}]; math.Abs(got.N-50) > 0.5 {
		t.Errorf("the past has %v calls a second, want 50", got.N)
	}
}

// Whether calls are recorded at an instant, and since when, is told by the edges.
func TestSinceWhenCallsAreRecorded(t *testing.T) {
	var b bursts
	if b.recorded(epoch) != 0 {
		t.Error("recorded before anything is known")
	}
	for _, c := range []threadtrace.Coverage{
		{Start: epoch, End: epoch + second},
		{Start: epoch + second, End: epoch + 2*second, Traced: time.Second},
		{Start: epoch + 2*second, End: epoch + 4*second},
		{Start: epoch + 4*second, End: epoch + 5*second, Traced: time.Second},
	} {
		b.cover(&c)
	}
	for at, want := range map[int64]int64{
		epoch: 0, epoch + second - 1: 0, epoch + second: epoch + second, epoch + 3*second/2: epoch + second,
		epoch + 2*second: epoch + second, epoch + 3*second: 0, epoch + 9*second/2: epoch + 4*second,
	} {
		if got := b.recorded(at); got != want {
			t.Errorf("%v s: since %v, want %v", float64(at-epoch)/1e9, got-epoch, want-epoch)
		}
	}
	var always bursts
	always.cover(&threadtrace.Coverage{Start: epoch, End: epoch + second, Traced: time.Second})
	if always.recorded(epoch+second/2) == 0 {
		t.Error("not recorded though there is no other record")
	}
}
