package syscallreceiver

import (
	"time"

	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/perfscope/perfscope/internal/machine"
	"github.com/perfscope/perfscope/pkg/threadtrace"
	"github.com/perfscope/perfscope/pkg/threadtrace/tracelog"
)

// The kernel's states of a thread (include/linux/sched.h).
const (
	stateUninterruptible = 0x2
	stateStopped         = 0x4
	stateTraced          = 0x8
	stateFrozen          = 0x8000 // since 6.1
)

// lacked is for how long threads of a process were kept from running by others than
// the process itself, by snapshots.
type lacked struct{ stopped, uninterruptible time.Duration }

// see takes the state of a thread that does not run, and reports whether it waits for
// something of its own accord: one that is stopped does not.
func (l *lacked) see(state uint32, stands time.Duration) bool {
	switch {
	case state&(stateStopped|stateTraced|stateFrozen) != 0:
		l.stopped += stands
		return false
	case state&stateUninterruptible != 0:
		l.uninterruptible += stands
	}
	return true
}

// machineReader is machine.Reader.
type machineReader interface {
	Read(from, to int64, services []machine.Service) []threadtrace.Machine
}

// maxGap is the longest time between two reads (ns) of which one record speaks.
const maxGap = int64(time.Minute)

// surroundings adds what the services of a parcel lack of the machine to their records.
type surroundings struct {
	reader machineReader
	last   int64
	// held is what was seen since the last read, by service instance.
	held map[string]lacked
}

// readEvery is how far apart two reads are at least (ns), whatever the flushes are.
const readEvery = int64(900 * time.Millisecond)

// add reads for the services of a flush; records has those of each load.
func (s *surroundings) add(p *parcel, records []plog.LogRecordSlice) {
	if s.held == nil {
		s.held = map[string]lacked{}
	}
	for i := range p.loads {
		l := &p.loads[i]
		sum := s.held[l.identity.key]
		sum.stopped += l.lacked.stopped
		sum.uninterruptible += l.lacked.uninterruptible
		s.held[l.identity.key] = sum
	}
	if p.at-s.last < readEvery {
		return
	}
	from := max(s.last, p.at-maxGap)
	first := s.last == 0
	s.last = p.at
	var services []machine.Service
	var at []plog.LogRecordSlice
	index := map[string]int{}
	for i := range p.loads {
		l := &p.loads[i]
		key := l.identity.key
		n, known := index[key]
		if !known {
			n = len(services)
			index[key] = n
			held := s.held[key]
			services = append(services, machine.Service{Key: key, Name: l.identity.ServiceName, Stopped: held.stopped, Uninterruptible: held.uninterruptible})
			at = append(at, records[i])
		}
		services[n].Processes = append(services[n].Processes, l.pid)
	}
	clear(s.held)
	read := s.reader.Read(from, p.at, services)
	if first || p.at <= from {
		return
	}
	for i := range read {
		tracelog.AppendMachine(at[i], &read[i])
	}
}
