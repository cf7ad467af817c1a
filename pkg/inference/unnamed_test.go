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
		// before are the helpers that have a stack before the onset, named those that have
		// one from it on; held is how many workers wait for a lock then.
		before, named []int
		held          int
		told          bool
	}{
		{"no stack comes", nil, nil, 0, false},
		{"one comes", nil, []int{0}, 0, false},
		{"all come", nil, []int{0, 1, 2}, 0, false},
		{"one comes and one goes", []int{1}, []int{0}, 0, false},
		{"a queue for a lock", nil, nil, 6, true},
		{"both", nil, []int{0, 1, 2}, 6, true},
		{"a queue, and one comes and one goes", []int{1}, []int{0}, 6, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			overSeeds(t, seeds, func(s *server) error {
				live := func(named []int, held int) {
					s.run(1, pool(8))
					for id := range helpers {
						b := &threadtrace.Batch{ThreadID: int32(90 + id), ThreadName: "helper", Stacks: []threadtrace.Stack{stackOf(fmt.Sprintf("@futex wait_for_job_%d helper", id))}}
						for n := range int64(5) {
							e := threadtrace.Event{Kind: threadtrace.KindBlocked, Time: s.now - second + n*tick, Duration: tick, Elapsed: 60 * second, Number: number(t, "futex")}
							if slices.Contains(named, id) {
								e.Stack = 1
							}
							b.Events = append(b.Events, e)
						}
						s.analyzer.AddBatch(b)
					}
					s.stall(held, 4)
				}
				for range 75 {
					live(tc.before, 0)
				}
				for range 20 {
					live(tc.named, tc.held)
				}
				if told := len(s.found) > 0; told != tc.told {
					return fmt.Errorf("told is %v: %+v", told, s.found)
				}
				if tc.told && s.found[0].Suspects[0].Function != "wait_for_commit" {
					return fmt.Errorf("%+v", s.found[0].Suspects)
				}
				return nil
			})
		})
	}
}
