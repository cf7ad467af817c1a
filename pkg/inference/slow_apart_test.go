package inference

import (
	"testing"
)

// Of a service whose requests are not told apart what most of them do is named: the figure
// falls by half or more.
func TestWhatTellingSlowRequestsApartIsFor(t *testing.T) {
	fast := []step{{stack: "hash seal answer serve start", took: 4 * ms}}
	ways := map[string]step{
		"match":  {stack: "match rule answer serve start", took: 50 * ms},
		"append": {stack: "@fsync append answer serve start", call: "fsync", took: 60 * ms},
		"scan":   {stack: "@getdents64 scan answer serve start", call: "getdents64", took: 20 * ms},
		"revise": {stack: "revise answer serve start", took: 25 * ms},
	}
	first := func(spans bool, without ...Rule) (n int) {
		for truth, extra := range ways {
			s := newShop(t, 1, 6)
			cfg := DefaultConfig()
			cfg.Without = without
			s.analyzer = NewAnalyzer(cfg, "amd64")
			s.spans, s.traced = spans, !spans
			s.run(90, 12, func(key int) []step {
				if key < 30 {
					return append([]step{extra}, fast...)
				}
				return fast
			})
			if len(s.told) == 0 {
				continue
			}
			if f := functionsOf(s.told[len(s.told)-1].Suspects); len(f) > 0 && f[0] == truth {
				n++
			}
		}
		return n
	}
	for _, spans := range []bool{true, false} {
		apart, together := first(spans), first(spans, RuleSlowApart)
		if apart < len(ways) || 2*together > apart {
			t.Errorf("spans %v: %d of %d are first when slow requests are told apart, %d when they are not", spans, apart, len(ways), together)
		}
	}
}
