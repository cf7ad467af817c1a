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

// TestACachedThreadRestsWhereTheOthersDo: of connections that wait for their clients no stack was
// known. Once theirs are, a cached thread that is given a connection waits at the same place.
func TestACachedThreadRestsWhereTheOthersDo(t *testing.T) {
	const connections, cached = 3, 99
	rest := func(s *server, thread int32, place, call string, known bool) {
		b := &threadtrace.Batch{ThreadID: thread, ThreadName: "connection", Stacks: []threadtrace.Stack{stackOf(place)}}
		for n := range int64(5) {
			e := threadtrace.Event{Kind: threadtrace.KindBlocked, Time: s.now - second + n*tick, Duration: tick, Elapsed: 60 * second, Number: number(t, call)}
			if known {
				e.Stack = 1
			}
			b.Events = append(b.Events, e)
		}
		s.analyzer.AddBatch(b)
	}
	const ofClients, inCache = "@poll read_packet do_command handle_connection", "@futex wait_in_cache handle_connection"
	for name, tc := range map[string]struct {
		known bool // the stacks of the connections are, from the onset on
		told  bool
	}{
		"beside the others":   {true, false},
		"where nobody is met": {false, true},
	} {
		t.Run(name, func(t *testing.T) {
			overSeeds(t, seeds, func(s *server) error {
				for i := range 95 {
					s.run(1, pool(8))
					for id := range int32(connections) {
						rest(s, 90+id, ofClients, "poll", i >= 75 && tc.known)
					}
					if i < 75 {
						rest(s, cached, inCache, "futex", true)
					} else {
						rest(s, cached, ofClients, "poll", true)
					}
				}
				if told := len(s.found) > 0; told != tc.told {
					return fmt.Errorf("told is %v: %+v", told, s.found)
				}
				return nil
			})
		})
	}
}
