package tail

import (
	"testing"

	"github.com/perfscope/perfscope/internal/frames"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// Waiting is told once, by what is known best, and where the application waits.
func TestWhereAThreadSpendsItsTime(t *testing.T) {
	stacks := frames.NewTable()
	native := stacks.Intern(&threadtrace.Stack{Frames: []threadtrace.Frame{{Function: "time_sleep", Module: "python3", Origin: threadtrace.OriginRuntime}}})
	script := stacks.Intern(&threadtrace.Stack{Frames: []threadtrace.Frame{{Function: "retry", Module: "shop.py"}}})
	const nanosleep, stat = 35, 4
	call := func(number int32, stack uint32, took int64) threadtrace.Event {
		return threadtrace.Event{Kind: threadtrace.KindCall, Number: number, Stack: stack, Time: 100 * ms, Duration: took}
	}
	look := threadtrace.Event{Kind: threadtrace.KindBlocked, Number: nanosleep, Stack: script, Time: 90 * ms, Duration: 200 * ms}
	other := look
	other.Stack = native
	inCall := threadtrace.Event{Kind: threadtrace.KindSample, Number: nanosleep, Stack: native, Time: 105 * ms, Duration: 10 * ms}
	for _, tc := range []struct {
		name      string
		events    []threadtrace.Event
		waited    map[uint32]int64 // by stack
		computing int64
	}{
		{"a look", []threadtrace.Event{look}, map[uint32]int64{script: 200 * ms}, 0},
		{"a call", []threadtrace.Event{call(nanosleep, native, 20*ms)}, map[uint32]int64{native: 20 * ms}, 0},
		{"a call of a script", []threadtrace.Event{look, call(nanosleep, native, 20*ms)}, map[uint32]int64{script: 220 * ms}, 0},
		{"a call of a script or of the runtime", []threadtrace.Event{look, other, call(nanosleep, native, 20*ms)}, map[uint32]int64{script: 220 * ms, native: 200 * ms}, 0},
		{"a call without a stack", []threadtrace.Event{call(nanosleep, native, ms), call(nanosleep, 0, 20*ms)}, map[uint32]int64{native: 21 * ms}, 0},
		{"a call that did not wait", []threadtrace.Event{call(stat, native, 1000)}, nil, 0},
		{"a call that computed for a while", []threadtrace.Event{call(nanosleep, native, 30*ms), inCall}, map[uint32]int64{native: 20 * ms}, 10 * ms},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := Sights{Stacks: stacks, Classes: threadtrace.NewClasses("amd64")}
			waited, computing := map[uint32]int64{}, int64(0)
			for _, e := range tc.events {
				for _, seen := range s.Of(7, &e).Seen {
					switch {
					case seen.Stack == 0:
					case seen.Waiting:
						waited[seen.Stack] += seen.Time
					default:
						computing += seen.Time
					}
				}
			}
			if computing != tc.computing || len(waited) != len(tc.waited) {
				t.Fatalf("computed for %d, waited %v", computing, waited)
			}
			for stack, want := range tc.waited {
				if waited[stack] != want {
					t.Errorf("waited %v, want %v", waited, tc.waited)
				}
			}
		})
	}
}
