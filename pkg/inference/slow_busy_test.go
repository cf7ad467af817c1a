package inference

import (
	"strings"
	"testing"
)

// inLine is a server with one thread, at which requests stand in line.
func inLine(t *testing.T, seed uint64) *shop {
	s := newShop(t, seed, 1)
	s.lines = 1
	return s
}

// Where slow requests take most of the only thread, nearly all requests are in line behind
// them: how long those take has no tail, how long they are served has one.
func TestTheFunctionBehindSlowRequestsOfABusyServer(t *testing.T) {
	for _, tc := range []struct {
		name  string
		share int // of a thousand
		extra step
		truth string
		want  Difference
	}{
		{"one in ten", 100, step{stack: "match rule answer serve start", took: 80 * ms}, "match", DifferencePath},
		{"one in seven", 150, step{stack: "match rule answer serve start", took: 80 * ms}, "match", DifferencePath},
		{"waits", 150, step{stack: "@fsync append answer serve start", call: "fsync", took: 80 * ms}, "append", DifferencePath},
		{"is larger", 150, step{stack: "hash seal answer serve start", took: 80 * ms}, "hash", DifferenceSame},
	} {
		right := 0
		var said []string
		for seed := range uint64(seeds) {
			s := inLine(t, seed)
			s.run(90, 50, func(key int) []step {
				fast := step{stack: "hash seal answer serve start", took: 4 * ms}
				if key < tc.share {
					return []step{tc.extra, fast}
				}
				return []step{fast}
			})
			if len(s.told) == 0 {
				continue
			}
			last := s.told[len(s.told)-1]
			said = append(said, last.Summary)
			f := functionsOf(last.Suspects)
			if len(f) > 0 && f[0] == tc.truth && last.Difference == tc.want && last.Served && strings.Contains(last.Summary, "once it is their turn") && near(last.Slow, 84*ms, 10*ms) {
				right++
			}
		}
		if right < seeds-1 {
			t.Errorf("%s: right under %d of %d seeds: %q", tc.name, right, seeds, said)
		}
	}
}

// Each of several workers has a line of its own, and spans say which thread worked for them:
// that a request in another line leaves earlier does not say that there is no line.
func TestTheFunctionBehindSlowRequestsOfBusyWorkers(t *testing.T) {
	right := 0
	var said []string
	for seed := range uint64(seeds) {
		s := newShop(t, seed, 4)
		s.lines, s.lanes, s.tied = 1, true, true
		s.run(90, 160, func(key int) []step {
			fast := step{stack: "hash seal answer serve start", took: 4 * ms}
			if key < 150 {
				return []step{{stack: "match rule answer serve start", took: 80 * ms}, fast}
			}
			return []step{fast}
		})
		if len(s.told) == 0 {
			said = append(said, "nothing")
			continue
		}
		last := s.told[len(s.told)-1]
		said = append(said, last.Summary)
		f := functionsOf(last.Suspects)
		if len(f) > 0 && f[0] == "match" && last.Difference == DifferencePath && last.Served && near(last.Slow, 84*ms, 10*ms) {
			right++
		}
	}
	if right < seeds-1 {
		t.Errorf("right under %d of %d seeds: %q", right, seeds, said)
	}
}

// Requests that come together, are served beside one another and leave together are in no
// line: nobody finds nobody and is faster.
func TestNothingIsSaidOfRequestsThatComeTogether(t *testing.T) {
	for seed := range uint64(seeds) {
		s := newShop(t, seed, 6)
		s.lines = 6
		s.run(60, 8, func(int) []step {
			return []step{{stack: "hash seal answer serve start", took: 20 * ms}}
		})
		if len(s.told) > 0 {
			t.Errorf("seed %d: %s", seed, s.told[0].Summary)
		}
	}
}

// More clients make the line longer, and change nothing of how long requests are served.
func TestALongerLineIsNoChange(t *testing.T) {
	for seed := range uint64(2) {
		s := inLine(t, seed)
		s.grows = epoch + 360*second
		s.run(560, 45, func(key int) []step {
			fast := step{stack: "hash seal answer serve start", took: 4 * ms}
			if key < 100 {
				return []step{{stack: "match rule answer serve start", took: 80 * ms}, fast}
			}
			return []step{fast}
		})
		if len(s.told) == 0 {
			t.Errorf("seed %d: nothing was told", seed)
		}
		for _, told := range s.told {
			if told.Change != "" {
				t.Errorf("seed %d: %q: %s", seed, told.Change, told.Summary)
			}
		}
	}
}

// So it is where threads are in line for a lock, without spans, too, and however long the line
// is: what they wait for it is none of what they do, and nobody rests there.
func TestTheFunctionBehindSlowRequestsThatHoldALock(t *testing.T) {
	lock := step{stack: "@pthread_mutex_lock look answer serve start", call: "futex", locks: true}
	for _, tc := range []struct {
		spans bool
		rate  float64
	}{{false, 16}, {true, 16}, {false, 40}, {true, 40}} {
		right := 0
		var said []string
		for seed := range uint64(seeds) {
			s := newShop(t, seed, 6)
			s.spans, s.traced = tc.spans, !tc.spans
			s.run(90, tc.rate, func(key int) []step {
				held := step{stack: "hash seal answer serve start", took: 3 * ms, unlocks: true}
				if key < 100 {
					held = step{stack: "match rule answer serve start", took: 70 * ms, unlocks: true}
				}
				return []step{lock, held}
			})
			if len(s.told) == 0 {
				continue
			}
			last := s.told[len(s.told)-1]
			said = append(said, last.Summary)
			if f := functionsOf(last.Suspects); len(f) > 0 && f[0] == "match" && last.Served && near(last.Slow, 70*ms, 10*ms) {
				right++
			}
		}
		if right < seeds-1 {
			t.Errorf("%+v: right under %d of %d seeds: %q", tc, right, seeds, said)
		}
	}
}
