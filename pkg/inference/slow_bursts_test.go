package inference

import (
	"slices"
	"testing"
)

// Of slow requests few begin while calls are recorded. Those that are met between the
// bursts, waiting for longer than others take or at work again and again, are known as well.
func TestSlowRequestsBetweenBursts(t *testing.T) {
	fast := []step{
		{stack: "hash seal answer serve start", took: 4 * ms},
		{stack: "@sendto reply answer serve start", call: "sendto", took: ms},
	}
	for _, tc := range []struct {
		truth string
		extra step
	}{
		{"append", step{stack: "@fsync append answer serve start", call: "fsync", took: 80 * ms}},
		{"retry", step{stack: "@clock_nanosleep retry answer serve start", call: "clock_nanosleep", took: 80 * ms}},
		{"match", step{stack: "match rule answer serve start", took: 150 * ms}},
	} {
		right := 0
		var said []string
		for seed := range uint64(seeds) {
			s := newShop(t, seed, 6)
			s.spans, s.traced, s.burst = false, true, 100*ms
			s.run(90, 12, func(key int) []step {
				if key < 30 {
					return append([]step{tc.extra}, slices.Clone(fast)...)
				}
				return fast
			})
			if len(s.told) == 0 {
				said = append(said, "nothing")
				continue
			}
			last := s.told[len(s.told)-1]
			said = append(said, last.Summary)
			if f := functionsOf(last.Suspects); len(f) > 0 && f[0] == tc.truth {
				right++
			}
			if last.Share > 0.1 {
				t.Errorf("seed %d: %.0f %% are slow, not 3", seed, 100*last.Share)
			}
		}
		if right < seeds-1 {
			t.Errorf("%s: right under %d of %d seeds: %q", tc.truth, right, seeds, said)
		}
	}
}
