package inference

import (
	"fmt"
	"slices"
	"testing"

	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// TestStacksThatComeLate: where a thread waits is often known only after a while when the
// machine is short of CPU. That is no departure; a queue for a lock is one, also when some
// threads never had a stack.
func TestStacksThatComeLate(t *testing.T) {
	const helpers = 3
	for _, tc := range []struct {
		name string
		// named is how many helpers have a stack from the onset on, held how many workers
		// wait for a lock then.
		named, held int
		told        bool
	}{
		{"no stack comes", 0, 0, false},
		{"one comes", 1, 0, false},
		{"all come", helpers, 0, false},
		{"a queue for a lock", 0, 6, true},
		{"both", helpers, 6, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			overSeeds(t, seeds, func(s *server) error {
				live := func(named, held int) {
					s.run(1, pool(8))
					for id := range helpers {
						b := &threadtrace.Batch{ThreadID: int32(90 + id), ThreadName: "helper", Stacks: []threadtrace.Stack{stackOf("@futex wait_for_job helper")}}
						for n := range int64(5) {
							e := threadtrace.Event{Kind: threadtrace.KindBlocked, Time: s.now - second + n*tick, Duration: tick, Elapsed: 60 * second, Number: number(t, "futex")}
							if id < named {
								e.Stack = 1
							}
							b.Events = append(b.Events, e)
						}
						s.analyzer.AddBatch(b)
					}
					s.stall(held, 4)
				}
				for range 75 {
					live(0, 0)
				}
				for range 20 {
					live(tc.named, tc.held)
				}
				if told := len(s.found) > 0; told != tc.told {
					return fmt.Errorf("told is %v: %+v", told, s.found)
				}
				// Which of the waits had no stack before is not known: both share the blame then.
				if tc.told && !slices.ContainsFunc(s.found[0].Suspects[:1+min(tc.named, 1)], func(s Suspect) bool { return s.Function == "wait_for_commit" }) {
					return fmt.Errorf("%+v", s.found[0].Suspects)
				}
				return nil
			})
		})
	}
}
