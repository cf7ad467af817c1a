package inference

import (
	"slices"
	"testing"
)

// mixture is a service whose threads do two honest kinds of work, a cheap one and a dear
// one that reads files; of the cheap one a few go a slow way, still shorter than what is
// dear.
func mixture(key int) []step {
	reply := step{stack: "@sendto reply serve start", call: "sendto", took: ms}
	cheap := []step{{stack: "hash seal answer serve start", took: 2 * ms}, reply}
	switch {
	case key < 150:
		return []step{
			{stack: "@openat find report answer serve start", call: "openat", took: ms},
			{stack: "@pread64 load report answer serve start", call: "pread64", took: 2 * ms},
			{stack: "sum report answer serve start", took: 50 * ms}, reply,
		}
	case key < 180:
		return append([]step{{stack: "match rule answer serve start", took: 40 * ms}}, cheap...)
	}
	return cheap
}

// Requests without spans are of several kinds in one role: what is slow among cheap ones
// is told beside what is dear, and would not be if calls did not tell them apart.
func TestSlowRequestsOfOneKindAmongAnother(t *testing.T) {
	found := func(without ...Rule) (right int, said []string) {
		for seed := range uint64(seeds) {
			s := newShop(t, seed, 6)
			cfg := DefaultConfig()
			cfg.Without = without
			s.analyzer = NewAnalyzer(cfg, "amd64")
			s.spans, s.traced, s.burst = false, true, 600*ms
			s.run(90, 12, mixture)
			is := func(told Tail) bool {
				said = append(said, told.Kind+": "+told.Summary)
				f := functionsOf(told.Suspects)
				return len(f) > 0 && f[0] == "match"
			}
			if slices.ContainsFunc(s.told, is) {
				right++
			}
		}
		return right, said
	}
	if right, said := found(); right < seeds-1 {
		t.Errorf("right under %d of %d seeds: %q", right, seeds, said)
	}
	if right, said := found(RuleKindsByCalls); right > 1 {
		t.Errorf("without the rule still right under %d of %d seeds: %q", right, seeds, said)
	}
}
