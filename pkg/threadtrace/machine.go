package threadtrace

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// Measure is what a Reading of the machine tells. The numbers are those of the
// packed block and never change.
type Measure uint8

// The measures. All but the last three are what was added between Start and End.
const (
	// MeasureQuotaPeriods counts the periods of a control group's CPU quota,
	// MeasureQuotaThrottled those in which it was used up, MeasureThrottledTime for
	// how long its threads were kept from a CPU then, summed over the CPUs (ns).
	MeasureQuotaPeriods   Measure = 1
	MeasureQuotaThrottled Measure = 2
	MeasureThrottledTime  Measure = 3
	// MeasureStopped is the time that threads were stopped or frozen,
	// MeasureUninterruptible that they waited for storage or memory in the kernel,
	// both by snapshots and summed over the threads (ns).
	MeasureStopped         Measure = 4
	MeasureUninterruptible Measure = 5
	// MeasureHostBusy is the CPU time used on the host by all, MeasureSteal that
	// which the hypervisor gave to others (ns).
	MeasureHostBusy Measure = 6
	MeasureSteal    Measure = 7
	// MeasureLimitHits counts how often a control group's memory was at its limit,
	// MeasureRefaults the pages that were read back into its page cache soon after
	// they were dropped, MeasureMajorFaults the faults that had to wait for a disk.
	MeasureLimitHits   Measure = 8
	MeasureRefaults    Measure = 9
	MeasureMajorFaults Measure = 10
	// MeasureMemoryPressure is the time in which some thread of the control group, or of the
	// host, waited for memory (ns).
	MeasureMemoryPressure Measure = 11
	// MeasureDiskOperations counts what a device did, MeasureDiskTime is how long
	// that took, summed over the operations, MeasureDiskBusy for how long the device
	// had some (ns), MeasureDiskBytes what it moved.
	MeasureDiskOperations Measure = 12
	MeasureDiskTime       Measure = 13
	MeasureDiskBusy       Measure = 14
	MeasureDiskBytes      Measure = 15
	// MeasureOwnDiskBytes is what the service itself had devices move.
	MeasureOwnDiskBytes Measure = 16
	// MeasurePeerWait is the time in which a connection to a peer waited for its
	// answer, by looks, MeasurePeerSegments the segments with data that came from it.
	MeasurePeerWait     Measure = 17
	MeasurePeerSegments Measure = 18
	// MeasureReceiverLimited is the time in which a peer did not take what was sent
	// to it, MeasureNetworkLimited that in which data was under way otherwise (ns),
	// MeasureRetransmits counts the segments sent to it again.
	MeasureReceiverLimited Measure = 19
	MeasureNetworkLimited  Measure = 20
	MeasureRetransmits     Measure = 21
	// MeasureClientWait is the time in which connections to the service waited for its
	// answer, by looks.
	MeasureClientWait Measure = 22
	// MeasureAnswered is the time in which connections to the service were at rest with
	// their answer, MeasureUnanswered that in which they were at rest without it, both by
	// looks; the resource is the port they came to.
	MeasureAnswered   Measure = 23
	MeasureUnanswered Measure = 24
	// MeasureDiskLimit is the limit of a device for the control group, in bytes or
	// operations per second; MeasureCPUs the number of CPUs of the host, MeasureResident
	// the memory that the processes of the service hold, in bytes; what they share
	// counts for each.
	MeasureDiskLimit Measure = 64
	MeasureCPUs      Measure = 65
	MeasureResident  Measure = 66
)

// IsLevel reports whether a measure is a state, and not what was added meanwhile.
func (m Measure) IsLevel() bool { return m >= MeasureDiskLimit }

// Reading is one figure of the machine.
type Reading struct {
	Measure Measure
	// Resource is what it is of: the path of a control group, the name of a device,
	// the address of a peer; empty is the service itself or the host.
	Resource string
	Value    int64
}

// User is who used a resource of the host meanwhile, other than the service.
type User struct {
	// Of is MeasureHostBusy for CPU time or MeasureDiskBytes.
	Of Measure
	// Name is a service that is watched, or the name of a program.
	Name  string
	PID   int32
	Value int64
}

// Machine is what a service instance lacked of the machine it runs on, and who used
// it, between Start and End (nanoseconds since the Unix epoch).
type Machine struct {
	Start, End int64
	Readings   []Reading
	Users      []User
}

// The limits of a Machine: what is beyond them is left out when it is made, and
// refused when it is read.
const (
	MaxReadings     = 256
	MaxUsers        = 32
	MaxResourceName = 256
)

// MachineVersion is the version of the block of a Machine.
const MachineVersion = 1

const machineMagic = "PSM"

// AppendMachine appends the block of a Machine: magic "PSM", version, start and
// length (varints), the readings (measure, resource, value) and the users (measure,
// name, pid, value).
func AppendMachine(dst []byte, m *Machine) []byte {
	dst = append(append(dst, machineMagic...), MachineVersion)
	dst = binary.AppendVarint(dst, m.Start)
	dst = binary.AppendVarint(dst, m.End-m.Start)
	readings, users := m.Readings[:min(len(m.Readings), MaxReadings)], m.Users[:min(len(m.Users), MaxUsers)]
	dst = binary.AppendUvarint(dst, uint64(len(readings)))
	for i := range readings {
		r := &readings[i]
		dst = append(dst, byte(r.Measure))
		dst = appendString(dst, r.Resource[:min(len(r.Resource), MaxResourceName)])
		dst = binary.AppendVarint(dst, r.Value)
	}
	dst = binary.AppendUvarint(dst, uint64(len(users)))
	for i := range users {
		u := &users[i]
		dst = append(dst, byte(u.Of))
		dst = appendString(dst, u.Name[:min(len(u.Name), MaxResourceName)])
		dst = binary.AppendVarint(dst, int64(u.PID))
		dst = binary.AppendVarint(dst, u.Value)
	}
	return dst
}

// DecodeMachine reads the block of a Machine. A block that is truncated, corrupted,
// of a newer version or beyond the limits gives an error; measures it does not know
// are kept.
func DecodeMachine(data []byte) (*Machine, error) {
	if len(data) < len(machineMagic)+1 || string(data[:len(machineMagic)]) != machineMagic {
		return nil, fmt.Errorf("machine block: %w: it does not begin with %s", ErrCorrupted, machineMagic)
	}
	r := reader{data: data, at: len(machineMagic) + 1, version: data[len(machineMagic)]}
	switch {
	case r.version == 0:
		return nil, fmt.Errorf("machine block: %w: version 0 was never written", ErrCorrupted)
	case r.version > MachineVersion:
		return nil, fmt.Errorf("machine block: %w: %d, this reads up to %d", ErrNewerVersion, r.version, MachineVersion)
	}
	m := &Machine{Start: r.varint("the start")}
	length := r.varint("the length")
	const leastReading, leastUser = 3, 4
	m.Readings = make([]Reading, r.count("readings", leastReading, MaxReadings))
	for i := range m.Readings {
		m.Readings[i] = Reading{Measure: Measure(r.byte("a measure")), Resource: r.name(), Value: r.varint("a value")}
	}
	m.Users = make([]User, r.count("users", leastUser, MaxUsers))
	for i := range m.Users {
		m.Users[i] = User{Of: Measure(r.byte("a measure")), Name: r.name(), PID: r.int32("a pid"), Value: r.varint("a value")}
	}
	if r.err == nil && r.at != len(data) {
		r.fail(ErrCorrupted, fmt.Sprintf("%d bytes after the last user", len(data)-r.at))
	}
	if r.err == nil {
		r.err = m.check(length)
	}
	if r.err != nil {
		return nil, fmt.Errorf("machine block: %w", r.err)
	}
	return m, nil
}

var errImpossible = errors.New("no kernel says that")

// longestMachine bounds the time of a block: flushes are a minute apart at the most.
const longestMachine = int64(3600e9)

func (m *Machine) check(length int64) error {
	if m.Start < 0 || length < 0 || length > longestMachine || m.Start > math.MaxInt64-length {
		return fmt.Errorf("start %d, length %d ns: %w", m.Start, length, errImpossible)
	}
	m.End = m.Start + length
	for i := range m.Readings {
		if r := &m.Readings[i]; r.Value < 0 {
			return fmt.Errorf("measure %d is %d: %w", r.Measure, r.Value, errImpossible)
		}
	}
	for i := range m.Users {
		if u := &m.Users[i]; u.Value < 0 {
			return fmt.Errorf("process %d used %d: %w", u.PID, u.Value, errImpossible)
		}
	}
	return nil
}

func (r *reader) name() string {
	n := r.count("bytes of a name", 1, MaxResourceName)
	s := string(r.data[r.at : r.at+n])
	r.at += n
	return s
}
