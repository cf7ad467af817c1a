package inference

import (
	"testing"

	"github.com/perfscope/perfscope/pkg/inference/internal/hop"
)

// TestStartsThatEndedEarlier: a process that is older than all before it lived to be is
// compared with what they were like in the end.
func TestStartsThatEndedEarlier(t *testing.T) {
	at := func(seconds int64) *hop.Closed { return &hop.Closed{Start: seconds * second} }
	s := start{began: 100 * second, inherited: true, past: []pastStart{{50 * second, []*hop.Closed{at(46), at(51)}}}}
	for age, want := range map[int64]int64{2: 46, 20: 51, 200: 51} {
		if got := s.alike(at(100 + age)); len(got) == 0 || got[0].Start != want*second {
			t.Errorf("at the age of %d s: %d hops", age, len(got))
		}
	}
}
