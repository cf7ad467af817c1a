package pattern

import (
	"maps"
	"slices"

	"github.com/perfscope/perfscope/pkg/inference/internal/attribute"
	"github.com/perfscope/perfscope/pkg/inference/internal/criteria"
	"github.com/perfscope/perfscope/pkg/inference/internal/hop"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// The patterns that have a name. A pattern says what the abnormal time is
// made of; no pattern is an allowed answer.
const (
	DescriptorExhaustion = "descriptor_exhaustion"
	BusyFailingCall      = "busy_loop_on_failing_call"
	PollWithoutSleep     = "poll_without_sleep"
	LockWait             = "lock_wait"
	SyncWrite            = "sync_write_per_operation"
	SleepInRequest       = "sleep_in_request"
	StuckCall            = "stuck_call"
	BlockedIO            = "blocked_io"
	ConnectionChurn      = "connection_churn"
	TinyIO               = "tiny_io"
	MemoryMapChurn       = "memory_map_churn"
	LongComputation      = "long_computation"
	ResourceExhaustion   = "resource_exhaustion"
	PeerUnreachable      = "peer_unreachable"
)

// Features are what patterns are told by. Times are excess over the past in
// nanoseconds per second, rates are calls per second.
type Features struct {
	Classes *threadtrace.Classes
	// Doing is what the first suspect does.
	attribute.Doing
	// CPUOutsideCalls is the part of the excess on CPU in user code.
	CPUOutsideCalls float64
	// TimedOut is the share of the excess waiting in a system call that was in
	// waits which ended because their time was over.
	TimedOut map[int32]float64
	// Calls are the system calls with their rates now and then.
	Calls []CallRate
	// OnlyRefusals is set when calls are refused and no time is lost by it.
	OnlyRefusals bool
}

// CallRate is the use of a call with one outcome.
type CallRate struct {
	Number, Errno int32
	Now, Past     float64
	// Bytes per second moved, now and then.
	BytesNow, BytesPast float64
	// Mean time in the call now, in nanoseconds.
	Mean float64
}

const (
	// peerOrDisk calls wait for one amid work.
	peerOrDisk = threadtrace.ClassInput | threadtrace.ClassOutput | threadtrace.ClassConnect | threadtrace.ClassReadiness

	emfile, enfile, einprogress                                       = 24, 23, 115
	eaddrnotavail, enetunreach, etimedout, econnrefused, ehostunreach = 99, 101, 110, 111, 113
)

// Name returns the pattern the features show, empty if none.
func (f *Features) Name() string {
	byClass := map[threadtrace.Class]float64{}
	for _, nr := range slices.Sorted(maps.Keys(f.ByCall)) {
		ns := f.ByCall[nr]
		if f.TimedOut[nr] > 0.5 {
			byClass[threadtrace.ClassSleep] += ns
			continue
		}
		for _, c := range []threadtrace.Class{threadtrace.ClassSync, threadtrace.ClassSleep, threadtrace.ClassFutex, threadtrace.ClassFileLock, peerOrDisk} {
			if f.Classes.Is(nr, c) {
				byClass[c] += ns
			}
		}
	}
	if f.failing(emfile, enfile) {
		return DescriptorExhaustion
	}
	if f.OnlyRefusals {
		if f.triesAgain() {
			return ConnectionChurn
		}
		if f.failing(econnrefused, ehostunreach, enetunreach, etimedout, eaddrnotavail) {
			return PeerUnreachable
		}
		return ResourceExhaustion
	}
	if f.Waiting > f.CPU {
		switch half := f.Waiting / 2; {
		case byClass[threadtrace.ClassSync] > half:
			return SyncWrite
		case f.Lock > half, byClass[threadtrace.ClassFileLock] > half:
			return LockWait
		case max(f.Sleep, byClass[threadtrace.ClassSleep]) > half:
			return SleepInRequest
		case f.Stuck > half:
			return StuckCall
		case byClass[threadtrace.ClassFutex] > half:
			// The kernel has it for threads to wait for each other only, and it
			// is amid work.
			return LockWait
		case byClass[peerOrDisk] > half:
			return BlockedIO
		}
		return ""
	}
	if f.CPU == 0 {
		return ""
	}
	return f.onCPU()
}

// onCPU names what burns the CPU, by the calls that became more.
func (f *Features) onCPU() string {
	var more, failing, readiness, connections, memory, mapping, lookups, moving float64
	var bytesNow, bytesPast, movingPast float64
	for _, c := range f.Calls {
		excess := c.Now - criteria.ManyTimes*c.Past
		if c.Errno == 0 && f.Classes.Is(c.Number, threadtrace.ClassInput|threadtrace.ClassOutput) {
			moving += c.Now
			movingPast += c.Past
			bytesNow += c.BytesNow
			bytesPast += c.BytesPast
		}
		if excess < attribute.NotRare {
			continue
		}
		more += excess
		switch {
		case f.Classes.Is(c.Number, threadtrace.ClassAccept|threadtrace.ClassConnect) && (c.Errno == 0 || c.Errno == einprogress):
			connections += excess
		case attribute.Fails(c.Number, c.Errno, f.Classes):
			failing += excess
		case f.Classes.Is(c.Number, threadtrace.ClassReadiness) && c.Mean < hop.LongCall:
			readiness += excess
		case f.Classes.Is(c.Number, threadtrace.ClassMemory):
			memory += excess
			mapping += excess * c.Mean
		case f.Classes.Is(c.Number, threadtrace.ClassLookup):
			lookups += excess
		}
	}
	// A loop around calls turns in less time than a call that waits; user
	// code with fewer new calls than that is no such loop.
	computes := f.CPUOutsideCalls > criteria.Mostly*f.CPU
	if loops := more*hop.LongCall > f.CPU/2; !loops && computes {
		return LongComputation
	}
	switch much := criteria.Matters * more; {
	case more == 0:
		return LongComputation
	case failing > much:
		return BusyFailingCall
	case connections*criteria.CallsTogether > more/2:
		return ConnectionChurn
	case readiness > much:
		return PollWithoutSleep
	case memory > much && mapping > criteria.Little*f.CPU:
		return MemoryMapChurn
	case moving > criteria.ManyTimes*movingPast && bytesNow*movingPast < bytesPast*moving/criteria.ManyTimes:
		return TinyIO
	case lookups > more/2:
		return TinyIO
	case computes:
		return LongComputation
	}
	return ""
}

// triesAgain reports whether more connections are tried than anything is read:
// a request that finds no peer is read, and tries once.
func (f *Features) triesAgain() bool {
	// One that is not waited for is begun by one call and ended by another.
	var begun, ended, past, reads float64
	for _, c := range f.Calls {
		switch {
		case f.Classes.Is(c.Number, threadtrace.ClassConnect) && c.Errno == einprogress:
			begun += c.Now
			past += c.Past
		case f.Classes.Is(c.Number, threadtrace.ClassConnect):
			ended += c.Now
			past += c.Past
		case f.Classes.Is(c.Number, threadtrace.ClassInput) && c.Errno == 0 && c.BytesNow > 0:
			reads += c.Now
		}
	}
	tries := max(begun, ended)
	return tries > attribute.NotRare && tries > criteria.ManyTimes*past && tries > reads
}

func (f *Features) failing(errnos ...int32) bool {
	for _, c := range f.Calls {
		for _, e := range errnos {
			if c.Errno == e && c.Now > 1 && c.Now > criteria.ManyTimes*c.Past {
				return true
			}
		}
	}
	return false
}
