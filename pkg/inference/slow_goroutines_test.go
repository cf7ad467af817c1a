package inference

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/perfscope/perfscope/pkg/threadtrace"
)

const connectionStack = "%peek %serve"

// followedWait is the wait of a goroutine that is followed.
type followedWait struct {
	step
	entered, since, last int64
	cut                  bool
}

// runGoroutines has the clerks be goroutines, of one creator: what they wait in is looked at
// every 400 ms, and each is followed, every ten.
func (s *shop) runGoroutines(seconds int64, rate float64, of way) {
	const moment, follow, look, creator, sample = int64(ms), int64(10 * ms), int64(400 * ms), -1, second / 97
	waits := map[int32]*followedWait{}
	batches := map[int32]*threadtrace.Batch{creator: {ThreadID: creator}}
	over := func(c *clerk) {
		if w := waits[c.id]; w != nil {
			s.see(batches[creator], w.step, threadtrace.Event{
				Kind: threadtrace.KindBlocked, Time: w.last, Elapsed: w.last - w.since, Number: number(s.t, w.call), Return: c.id, Cut: w.cut,
			})
			delete(waits, c.id)
		}
	}
	for at := epoch; at < epoch+seconds*second; at += moment {
		s.at = at
		for _, c := range s.threads {
			st := step{stack: connectionStack, call: "go.io_wait"}
			if len(c.steps) > 0 {
				st = c.steps[0]
			}
			if batches[c.id] == nil {
				batches[c.id] = &threadtrace.Batch{ThreadID: c.id}
			}
			if st.call == "" && (at+int64(c.id)*1700)%sample < moment {
				s.see(batches[c.id], st, threadtrace.Event{Time: at, Kind: threadtrace.KindSample, Number: threadtrace.NoCall, Duration: sample})
			}
			if st.call != "" && at%look == 0 {
				s.see(batches[creator], st, threadtrace.Event{Time: at, Kind: threadtrace.KindBlocked, Number: number(s.t, st.call), Duration: look, Population: 6})
			}
			if at%follow == 0 {
				w := waits[c.id]
				if w != nil && (st.call == "" || w.entered != c.since) {
					over(c)
					w = nil
				}
				if w == nil && st.call != "" {
					w = &followedWait{step: st, entered: c.since, since: at, cut: at == epoch}
					waits[c.id] = w
				}
				if w != nil {
					w.last = at
				}
			}
			s.work(c, at, rate, of)
		}
		if (at+moment)%second == 0 {
			list := batches[creator]
			slices.SortStableFunc(list.Events, func(a, b threadtrace.Event) int { return cmp.Compare(a.Time, b.Time) })
			s.flushAll(batches, at+moment)
			batches[creator] = &threadtrace.Batch{ThreadID: creator}
		}
	}
}

// flushAll delivers what goroutines and threads did.
func (s *shop) flushAll(batches map[int32]*threadtrace.Batch, now int64) {
	s.analyzer.AddBatch(batches[-1])
	delete(batches, -1)
	s.flush(batches, now)
}

// A goroutine that waits holds no thread: what it does between two rests is a request all
// the same.
func TestTheFunctionBehindSlowRequestsOfGoroutines(t *testing.T) {
	fast := []step{{stack: "hash seal answer %serve", took: 2 * ms}}
	slowly := func(extra ...step) way {
		return func(key int) []step {
			if key < 30 {
				return append(slices.Clone(extra), fast...)
			}
			return fast
		}
	}
	sleep := step{stack: "%sleep retry answer %serve", call: "go.sleep", took: 25 * ms}
	for _, tc := range []struct {
		name  string
		of    way
		truth string
	}{
		{"an upstream", slowly(step{stack: "%roundTrip fetch answer %serve", call: "go.select", took: 80 * ms}), "fetch"},
		{"a retry", slowly(sleep, sleep, sleep, sleep), "retry"},
		{"it computes", slowly(step{stack: "match rule answer %serve", took: 80 * ms}), "match"},
		// Nothing is slow where every request waits.
		{"each waits", func(int) []step {
			return append([]step{{stack: "%roundTrip fetch answer %serve", call: "go.select", took: 20 * ms}}, fast...)
		}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			right := 0
			var said []string
			for seed := range uint64(seeds) {
				s := newShop(t, seed, 6)
				s.spans = false
				s.runGoroutines(90, 10, tc.of)
				first := ""
				if len(s.told) > 0 {
					last := s.told[len(s.told)-1]
					if f := functionsOf(last.Suspects); len(f) > 0 && !last.Spans {
						first = f[0]
					}
					said = append(said, fmt.Sprintf("%s [%s %v]", last.Summary, last.Difference, functionsOf(last.Suspects)))
				}
				if first == tc.truth {
					right++
				}
			}
			if right < seeds-1 {
				t.Errorf("right under %d of %d seeds:\n%s", right, seeds, strings.Join(said, "\n"))
			}
		})
	}
}

// A batch may have nothing but waits of single goroutines.
func TestABatchOfFollowedGoroutines(t *testing.T) {
	s := newShop(t, 1, 1)
	b := threadtrace.Batch{ThreadID: -1, Dropped: 3}
	s.see(&b, step{stack: connectionStack}, threadtrace.Event{Kind: threadtrace.KindBlocked, Time: epoch, Elapsed: int64(30 * ms), Number: threadtrace.WaitIO, Return: 7})
	s.analyzer.AddBatch(&b)
	s.analyzer.AddCoverage(threadtrace.Coverage{Start: epoch, End: epoch + 5*second})
	s.analyzer.Advance(epoch + 10*second)
	if got := s.analyzer.Stats().Last; got.Waiting != 0 {
		t.Errorf("its time is counted twice: %+v", got)
	}
}

// With spans, too, the waits of goroutines that are followed tell more than looks at all of
// them, which are few.
func TestWaitsOfGoroutinesWithinSpans(t *testing.T) {
	fast := step{stack: "hash seal answer %serve", took: 2 * ms}
	ask := step{stack: "%roundTrip fetch answer %serve", call: "go.select", took: 20 * ms}
	right := 0
	var said []string
	for seed := range uint64(seeds) {
		s := newShop(t, seed, 6)
		s.runGoroutines(30, 10, func(key int) []step {
			if key < 30 {
				return []step{ask, ask, fast}
			}
			return []step{fast}
		})
		if len(s.told) == 0 {
			said = append(said, "nothing")
			continue
		}
		last := s.told[len(s.told)-1]
		said = append(said, last.Summary)
		if f := functionsOf(last.Suspects); last.Spans && len(f) > 0 && f[0] == "fetch" {
			right++
		}
	}
	if right < seeds-1 {
		t.Errorf("right under %d of %d seeds: %q", right, seeds, said)
	}
}
