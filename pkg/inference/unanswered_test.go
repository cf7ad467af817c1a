package inference

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// contended has threads wait for a CPU for a twentieth of the time.
func contended(m surroundings) surroundings {
	m.delay = 50 * time.Millisecond
	m.readings = append(m.readings, threadtrace.Reading{Measure: threadtrace.MeasureHostBusy, Value: 2e9})
	return m
}

// TestClientsThatNobodyWorksFor: an event loop whose pool has run dry has no thread that
// waits. That a client spoke last on a connection at rest is no fault by itself.
func TestClientsThatNobodyWorksFor(t *testing.T) {
	at := func(answered, unanswered int64) surroundings {
		return surroundings{readings: []threadtrace.Reading{
			{Measure: threadtrace.MeasureAnswered, Resource: "80", Value: answered * second},
			{Measure: threadtrace.MeasureUnanswered, Resource: "80", Value: unanswered * second},
		}}
	}
	for _, tc := range []struct {
		name       string
		usual, now surroundings
		load       float64
		told       bool
	}{
		{"all wait", at(9, 0), at(0, 16), 0.02, true},
		{"all wait, and some always did", at(9, 2), at(1, 15), 0.1, true},
		{"a night", at(9, 0), at(16, 0), 0.02, false},
		{"a night of clients that speak last", at(4, 5), at(0, 16), 0.02, false},
		{"a night of clients that never rested", at(0, 0), at(0, 16), 0.02, false},
		{"a night with consumers that wait for messages", at(9, 0), at(10, 8), 0.02, false},
		{"as much is done as ever", at(9, 0), at(0, 16), 1, false},
		{"all wait, and a neighbour has the CPUs at times", at(9, 0), contended(at(0, 16)), 0.02, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			overSeeds(t, seeds, func(s *server) error {
				s.live(75, phase{load: steady(1), extra: tc.usual.add})
				s.live(25, phase{load: steady(tc.load), extra: tc.now.add})
				if told := len(s.found) > 0; told != tc.told {
					return fmt.Errorf("told is %v: %+v", told, s.found)
				}
				if !tc.told {
					return nil
				}
				a := s.found[0]
				if a.Causes[0].Kind != CauseUnanswered || a.Causes[0].Resource != "80" || !strings.Contains(a.Summary, "clients at port 80") {
					return fmt.Errorf("%+v: %s", a.Causes, a.Summary)
				}
				// loop and main are on the stack of the thread that rests.
				if got := functionsOf(a.Suspects); !slices.Equal(got, []string{"handle", "reply", "parse"}) {
					return fmt.Errorf("the work that stopped: %v", got)
				}
				return nil
			})
		})
	}
}

// TestCodeComesBeforeClientsThatWait: when a lock holds up all workers, it is told, and
// not that their clients wait.
func TestCodeComesBeforeClientsThatWait(t *testing.T) {
	overSeeds(t, seeds, func(s *server) error {
		usual := surroundings{readings: []threadtrace.Reading{{Measure: threadtrace.MeasureAnswered, Resource: "80", Value: 9 * second}}}
		s.live(75, phase{load: steady(1), extra: usual.add})
		now := surroundings{readings: []threadtrace.Reading{{Measure: threadtrace.MeasureUnanswered, Resource: "80", Value: 16 * second}}}
		s.live(25, phase{load: waitingForPeer(), extra: now.add})
		if len(s.found) == 0 {
			return fmt.Errorf("nothing is told")
		}
		for _, a := range s.found {
			for _, c := range a.Causes {
				if c.Kind == CauseUnanswered {
					return fmt.Errorf("%s", a.Summary)
				}
			}
		}
		return nil
	})
}
