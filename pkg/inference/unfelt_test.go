package inference

import (
	"fmt"
	"testing"
	"time"

	"github.com/perfscope/perfscope/pkg/inference/internal/cause"
	"github.com/perfscope/perfscope/pkg/inference/internal/hop"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// TestNobodyWaitsForThreadsThatPoll: threads that wait for descriptors where they never did
// are slow for nobody while all clients have their answer, and slow when clients wait, when
// what is sent is not taken, and where no client is seen.
func TestNobodyWaitsForThreadsThatPoll(t *testing.T) {
	answered := threadtrace.Reading{Measure: threadtrace.MeasureAnswered, Resource: "80", Value: 4e9}
	for _, tc := range []struct {
		name     string
		place    string
		readings []threadtrace.Reading
		told     bool
	}{
		{"clients have their answer", "@ppoll wait_readable run serve worker", []threadtrace.Reading{answered}, false},
		{"clients wait", "@ppoll wait_readable run serve worker", []threadtrace.Reading{answered, {Measure: threadtrace.MeasureClientWait, Value: 2e9}}, true},
		{"what is sent is not taken", "@ppoll wait_writable run serve worker", []threadtrace.Reading{answered, {Measure: threadtrace.MeasureNetworkLimited, Resource: "10.0.0.9", Value: 2e9}}, true},
		{"what is sent is not read", "@ppoll wait_writable run serve worker", []threadtrace.Reading{answered, {Measure: threadtrace.MeasureReceiverLimited, Resource: "10.0.0.9", Value: 2e9}}, true},
		{"a peer does not answer", "@ppoll ask run serve worker", []threadtrace.Reading{answered, {Measure: threadtrace.MeasurePeerWait, Resource: "10.0.0.3:80", Value: 2e9}}, true},
		{"clients rest without their answer", "@ppoll wait_readable run serve worker", []threadtrace.Reading{answered, {Measure: threadtrace.MeasureUnanswered, Resource: "80", Value: 2e9}}, true},
		{"no client is seen", "@ppoll wait_readable run serve worker", nil, true},
		{"they sync", "@fdatasync commit run serve worker", []threadtrace.Reading{answered}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			overSeeds(t, seeds, func(s *server) error {
				var quiet surroundings
				s.live(75, phase{load: steady(1), extra: quiet.add})
				now := surroundings{readings: tc.readings}
				s.live(5, phase{load: steady(1), extra: now.add})
				s.live(30, phase{load: steady(1), extra: func(s *server) {
					now.add(s)
					s.hold(tc.place, 3, 10)
				}})
				if told := len(s.found) > 0; told != tc.told {
					return fmt.Errorf("told is %v: %+v", told, s.found)
				}
				return nil
			})
		})
	}
}

// TestNobodyFeelsThatOthersHaveTheCPUs: threads that wait for a CPU beside a neighbour are told
// when somebody waits for them, too, and where no client is seen.
func TestNobodyFeelsThatOthersHaveTheCPUs(t *testing.T) {
	answered := threadtrace.Reading{Measure: threadtrace.MeasureAnswered, Resource: "80", Value: 4e9}
	for _, tc := range []struct {
		name     string
		readings []threadtrace.Reading
		told     bool
	}{
		{"clients have their answer", []threadtrace.Reading{answered}, false},
		{"clients wait", []threadtrace.Reading{answered, {Measure: threadtrace.MeasureClientWait, Value: 5e8}}, true},
		{"no client is seen", nil, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			overSeeds(t, seeds, func(s *server) error {
				var quiet surroundings
				s.live(75, phase{load: steady(1), extra: quiet.add})
				busy := besideBackup(tc.readings...)
				s.live(45, phase{load: steady(0.5), extra: busy.add})
				if told := len(s.found) > 0; told != tc.told {
					return fmt.Errorf("told is %v: %+v", told, s.found)
				}
				return nil
			})
		})
	}
}

// TestFewLooksAreNoWaiting: threads that have no CPU for a while are told when clients wait
// meanwhile, not when a few looks met one that waits.
func TestFewLooksAreNoWaiting(t *testing.T) {
	answered := threadtrace.Reading{Measure: threadtrace.MeasureAnswered, Resource: "80", Value: 4e9}
	waits := threadtrace.Reading{Measure: threadtrace.MeasureClientWait, Value: 1e9} // one look a second
	for looks, want := range map[int]bool{1: false, 4: false, 9: true} {
		t.Run(fmt.Sprint(looks), func(t *testing.T) {
			overSeeds(t, seeds, func(s *server) error {
				s.live(75, phase{load: steady(1), extra: (&surroundings{readings: []threadtrace.Reading{answered}}).add})
				met, busy := besideBackup(answered, waits), besideBackup(answered)
				s.live(looks, phase{load: steady(0.5), extra: met.add})
				s.live(30-looks, phase{load: steady(0.5), extra: busy.add})
				if told := len(s.found) > 0; told != want {
					return fmt.Errorf("told is %v: %+v", told, s.found)
				}
				return nil
			})
		})
	}
}

// TestLooksAreThoseOfEachHop: how many met who waits is known of each hop by the records that
// it has, whatever the hop at which that is asked has, and however long it is.
func TestLooksAreThoseOfEachHop(t *testing.T) {
	met := func(seconds, records float64) *verdict {
		v := &verdict{hop: &hop.Closed{Seconds: seconds, Machine: hop.Machine{Seconds: seconds, Records: records}}, outside: 1e9}
		v.machine = cause.Verdict{Felt: 0.4e9}
		return v
	}
	var all toll
	for _, v := range []*verdict{met(5, 5), met(5, 10), met(2.5, 2.5), {hop: &hop.Closed{Seconds: 5}, outside: 1e9}} {
		all.add(v.toll(), 1)
	}
	if all.looks != 2+4+1 || all.felt != 2+2+1 || all.lost != 5+5+2.5+5 {
		t.Errorf("%+v", all)
	}
}

// TestClientsAreKnownForLong: that a service has clients who would be seen to wait is known
// when the last one was seen before its past began.
func TestClientsAreKnownForLong(t *testing.T) {
	overSeeds(t, seeds, func(s *server) error {
		seen := surroundings{readings: []threadtrace.Reading{{Measure: threadtrace.MeasureClientWait, Value: 1e8}}}
		s.live(5, phase{load: steady(1), extra: seen.add})
		var quiet surroundings
		s.live(340, phase{load: steady(1), extra: quiet.add})
		busy := besideBackup()
		s.live(45, phase{load: steady(0.5), extra: busy.add})
		if len(s.found) > 0 {
			return fmt.Errorf("told: %+v", s.found)
		}
		return nil
	})
}

// besideBackup is a machine whose CPUs a backup has.
func besideBackup(readings ...threadtrace.Reading) surroundings {
	return surroundings{
		delay: 800 * time.Millisecond, readings: append(readings, threadtrace.Reading{Measure: threadtrace.MeasureHostBusy, Value: 2e9}),
		users: []threadtrace.User{{Of: threadtrace.MeasureHostBusy, Name: "backup", PID: 7, Value: 1e9}},
	}
}
