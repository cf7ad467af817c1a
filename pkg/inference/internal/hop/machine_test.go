package hop

import (
	"fmt"
	"math"
	"testing"

	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// TestTheMachineOfAHop: what reaches over the edge counts for a part, levels do not add
// up, and all is per second.
func TestTheMachineOfAHop(t *testing.T) {
	h := NewOpen(5e9, 10e9, 10)
	for from := int64(45e8); from < 105e8; from += 1e9 {
		h.AddMachine(&threadtrace.Machine{
			Start: from, End: from + 1e9,
			Readings: []threadtrace.Reading{{Measure: threadtrace.MeasureStopped, Value: 2e9}, {Measure: threadtrace.MeasureCPUs, Value: 2}},
			Users:    []threadtrace.User{{Of: threadtrace.MeasureHostBusy, Name: "tar", Value: 1e9}},
		})
	}
	m := h.machine.perSecond()
	if m.Seconds != 5 || m.Of(threadtrace.MeasureStopped) != 2e9 || m.Of(threadtrace.MeasureCPUs) != 2 || m.Users[User{threadtrace.MeasureHostBusy, "tar", 0}] != 1e9 {
		t.Errorf("%+v", m)
	}
	if none := (&Machine{}).perSecond(); none.Seconds != 0 || none.Of(threadtrace.MeasureStopped) != 0 {
		t.Errorf("of nothing: %+v", none)
	}
	twice := mergeMachine(m, Machine{Seconds: 5, Figures: map[Resource]float64{{threadtrace.MeasureCPUs, ""}: 4}}, 0.5)
	if twice.Of(threadtrace.MeasureStopped) != 1e9 || twice.Of(threadtrace.MeasureCPUs) != 4 {
		t.Errorf("two together: %+v", twice)
	}
	if same := mergeMachine(m, Machine{}, 0.5); same.Of(threadtrace.MeasureStopped) != 2e9 {
		t.Errorf("with one of which nothing is known: %+v", same)
	}
}

func TestTheMachineOfAHopIsBounded(t *testing.T) {
	h := NewOpen(0, 5e9, 10)
	for i := range 3 * maxResources {
		h.AddMachine(&threadtrace.Machine{
			End: 1e9, Readings: []threadtrace.Reading{{Measure: threadtrace.MeasurePeerWait, Resource: fmt.Sprint(i), Value: math.MaxInt64}},
			Users: []threadtrace.User{{Name: fmt.Sprint(i)}},
		})
	}
	if len(h.machine.Figures) != maxResources || len(h.machine.Users) != maxUsers {
		t.Errorf("%d figures, %d users", len(h.machine.Figures), len(h.machine.Users))
	}
}
