package inference

import (
	"fmt"
	"testing"

	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// TestGoroutinesThatAreHardlyLookedAt: a receiver that is short of its budget looks at the
// goroutines of a service now and then. That some wait in the hop of a look is no
// departure; that they wait elsewhere than in all looks before is one.
func TestGoroutinesThatAreHardlyLookedAt(t *testing.T) {
	at := func(p parked) func(*server) { return all(goroutines(4, 1, 1, p), goroutines(5, 1, 1, p)) }
	accepts := at(parked{"listen main", threadtrace.WaitIO, 0.5})
	locked := at(parked{"%Lock update listen main", threadtrace.WaitMutex, 0.5})
	for _, tc := range []struct {
		name string
		// before is in every how many hops somebody looks.
		before int
		// lasts is for how many seconds they wait: three hops make certain, under all seeds, what
		// the past has few looks to compare with.
		lasts int
		fault func(*server)
		told  bool
	}{
		{"the second look of all", 100, 10, accepts, false},
		{"a look now and then", 6, 10, accepts, false},
		{"a look in every third hop, and now a lock", 3, 15, locked, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			overSeeds(t, seeds, func(s *server) error {
				for at := range 150 {
					s.run(1, steady(0.02))
					if (at/5)%tc.before == 2 {
						accepts(s)
					}
				}
				for range tc.lasts {
					s.run(1, steady(0.02))
					tc.fault(s)
				}
				if told := len(s.found) > 0; told != tc.told {
					return fmt.Errorf("told is %v: %+v", told, s.found)
				}
				return nil
			})
		})
	}
}
