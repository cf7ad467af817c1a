package inference

import (
	"testing"
)

// Where slow requests take most of the only thread, nearly all requests are in line behind
// them: how long those take has no tail, how long they are served has one.
func TestTheFunctionBehindSlowRequestsOfABusyServer(t *testing.T) {
	match := step{stack: "match rule answer serve start", took: 80 * ms}
	hash := step{stack: "hash seal answer serve start", took: 4 * ms}
	for _, share := range []int{100, 150} {
		right := 0
		var said []string
		for seed := range uint64(seeds) {
			s := newShop(t, seed, 1)
			s.lines = 1
			s.run(90, 50, func(key int) []step {
				if key < share {
					return []step{match, hash}
				}
				return []step{hash}
			})
			if len(s.told) == 0 {
				continue
			}
			last := s.told[len(s.told)-1]
			said = append(said, last.Summary)
			if f := functionsOf(last.Suspects); len(f) > 0 && f[0] == "match" && last.Difference == DifferencePath {
				right++
			}
		}
		if right < seeds-1 {
			t.Errorf("%d of 1000: right under %d of %d seeds: %q", share, right, seeds, said)
		}
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
