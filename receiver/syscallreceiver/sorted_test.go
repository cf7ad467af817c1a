package syscallreceiver

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// TestSortEvents compares the merging with a sort, of events as polls deliver them
// and of any others. Return tells the events apart.
func TestSortEvents(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var spare []threadtrace.Event
	for range 500 {
		var events []threadtrace.Event
		wild := r.IntN(4) == 0
		for poll := range int64(r.IntN(6)) {
			for range r.IntN(4) {
				kind := threadtrace.KindSample + threadtrace.Kind(r.IntN(2))
				events = append(events, threadtrace.Event{Kind: kind, Time: 100*poll + r.Int64N(100), Return: int32(len(events))})
			}
			at := 100 * poll
			for range r.IntN(20) {
				if at += r.Int64N(5); wild {
					at = r.Int64N(600)
				}
				events = append(events, threadtrace.Event{Time: at, Return: int32(len(events))})
			}
		}
		want := slices.Clone(events)
		slices.SortFunc(want, func(a, b threadtrace.Event) int {
			// Of one instant the calls come first, then in the order they came.
			if c := byTime(a, b); c != 0 {
				return c
			}
			if seen := func(e threadtrace.Event) bool { return e.Kind != threadtrace.KindCall }; seen(a) != seen(b) {
				if seen(a) {
					return 1
				}
				return -1
			}
			return int(a.Return - b.Return)
		})
		if inOrder(events) {
			want = slices.Clone(events)
		}
		spare = sortEvents(events, spare)
		require.Equal(t, want, events)
	}
}
