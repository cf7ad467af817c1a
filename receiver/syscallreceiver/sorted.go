package syscallreceiver

import (
	"cmp"
	"slices"

	"github.com/perfscope/perfscope/pkg/threadtrace"
)

func byTime(x, y threadtrace.Event) int { return cmp.Compare(x.Time, y.Time) }

// sortEvents sorts a thread's events by time. Its calls come in order, what was seen
// of it in between (samples, waits) in front of those of the same poll of the
// rings: the few are taken out, sorted, and merged in from the end. spare is
// room for them; what it has become is returned.
func sortEvents(events, spare []threadtrace.Event) []threadtrace.Event {
	spare = spare[:0]
	if inOrder(events) {
		return spare
	}
	calls := 0
	for i := range events {
		if e := &events[i]; e.Kind == threadtrace.KindCall {
			if calls < i {
				events[calls] = *e
			}
			calls++
		} else {
			spare = append(spare, *e)
		}
	}
	slices.SortStableFunc(spare, byTime)
	if !inOrder(events[:calls]) { // a child's calls before it was known whose they are
		slices.SortStableFunc(events[:calls], byTime)
	}
	for last, i := len(events)-1, len(spare)-1; i >= 0; last-- {
		if calls > 0 && events[calls-1].Time > spare[i].Time {
			calls--
			events[last] = events[calls]
		} else {
			events[last] = spare[i]
			i--
		}
	}
	return spare
}

func inOrder(events []threadtrace.Event) bool {
	for i := 1; i < len(events); i++ {
		if events[i].Time < events[i-1].Time {
			return false
		}
	}
	return true
}
