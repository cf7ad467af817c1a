package syscallreceiver

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perfscope/perfscope/internal/capture"
	"github.com/perfscope/perfscope/internal/machine"
	"github.com/perfscope/perfscope/pkg/threadtrace"
	"github.com/perfscope/perfscope/pkg/threadtrace/tracelog"
)

// fakeMachine gives what it is asked for back.
type fakeMachine struct{ asked [][]machine.Service }

func (f *fakeMachine) Read(from, to int64, services []machine.Service) []threadtrace.Machine {
	f.asked = append(f.asked, services)
	out := make([]threadtrace.Machine, len(services))
	for i := range services {
		out[i] = threadtrace.Machine{Start: from, End: to, Readings: []threadtrace.Reading{{Measure: threadtrace.MeasureStopped, Value: int64(services[i].Stopped)}}}
	}
	return out
}

// TestTheMachine: a thread that is stopped waits for nothing, and what a service lacks
// of the machine is told once for all of its processes.
func TestTheMachine(t *testing.T) {
	b := newBench(t, func(*Config) {})
	around := &fakeMachine{}
	b.gatherer.surroundings = &surroundings{reader: around}
	one, two := server(100), server(200)
	two.InstanceID, two.Root = one.InstanceID, one.Root
	b.find(one, two)
	h := &kernelHandler{b.gatherer}
	look := func(state uint32) {
		var threads []capture.Thread
		for _, pid := range []int32{100, 200} {
			threads = append(threads, capture.Thread{PID: pid, TID: pid, Number: 1, Flags: capture.ThreadBlocked, State: state})
		}
		h.Snapshot(&capture.Snapshot{Time: epoch + 1e6, Interval: 200 * time.Millisecond, Threads: threads})
	}
	b.flush()
	look(0x4)
	look(0x8001)
	look(0x2)
	b.wait(100 * time.Millisecond)
	b.flush() // too early to read again
	b.wait(900 * time.Millisecond)
	b.flush()
	require.Len(t, around.asked, 2)
	require.Len(t, around.asked[1], 1, "both processes are one service instance")
	s := around.asked[1][0]
	assert.Equal(t, []int32{100, 200}, s.Processes)
	assert.Equal(t, 800*time.Millisecond, s.Stopped)
	assert.Equal(t, 400*time.Millisecond, s.Uninterruptible)
	var told []*threadtrace.Machine
	blocked := 0
	for _, d := range b.deliveries {
		for _, rl := range d.logs.ResourceLogs().All() {
			errs := tracelog.Decode(rl.ScopeLogs().At(0).LogRecords(), tracelog.Handler{
				Batch:   func(_ string, batch *threadtrace.Batch) { blocked += len(batch.Events) },
				Machine: func(m *threadtrace.Machine) { told = append(told, m) },
			})
			require.Empty(t, errs)
		}
	}
	require.Len(t, told, 1, "the first flush has nothing to compare with")
	assert.Equal(t, int64(time.Second), told[0].End-told[0].Start)
	assert.Equal(t, int64(800*time.Millisecond), told[0].Readings[0].Value)
	assert.Equal(t, 2, blocked, "those that are stopped are not blocked")
}
