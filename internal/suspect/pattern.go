package suspect

import (
	"maps"
	"slices"

	"github.com/perfscope/perfscope/internal/syscalltrace"
)

// The patterns that have a name. A pattern says what the abnormal time is
// made of; no pattern is an allowed answer.
const (
	PatternDescriptorExhaustion = "descriptor_exhaustion"
	PatternBusyFailingCall      = "busy_loop_on_failing_call"
	PatternPollWithoutSleep     = "poll_without_sleep"
	PatternLockWait             = "lock_wait"
	PatternSyncWrite            = "sync_write_per_operation"
	PatternSleepInRequest       = "sleep_in_request"
	PatternStuckCall            = "stuck_call"
	PatternBlockedIO            = "blocked_io"
	PatternConnectionChurn      = "connection_churn"
	PatternTinyIO               = "tiny_io"
	PatternMemoryMapChurn       = "memory_map_churn"
	PatternLongComputation      = "long_computation"
	PatternResourceExhaustion   = "resource_exhaustion"
	PatternPeerUnreachable      = "peer_unreachable"
)

// Features are what patterns are told by. Times are excess over the past in
// nanoseconds per second, rates are calls per second.
type Features struct {
	Classes *syscalltrace.Classes
	// Doing is what the first suspect does.
	Doing
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
	// ManyTimes is how often more a call must occur to make the pattern:
	// half a decimal order, beyond what a doubled load or a changed mix of
	// requests brings.
	ManyTimes = 3.0
	// NotRare is the rate, in calls per second, below which a call cannot
	// fill a core or be noticed by a request.
	NotRare = 20.0
	// instant is the time in nanoseconds within which a wait has not slept,
	// and in which a loop that does not sleep comes round.
	instant = 100e3

	// faultIn is the share of the excess on CPU that calls which change the memory
	// map must take to be behind it: a fifth with the faults that follow, which
	// are no calls and cost as much again.
	faultIn = 0.1

	// perConnection is how many calls a new connection takes, from socket over
	// options and registrations to close: about ten in event loops and runtimes.
	perConnection = 10.0

	// peerOrDisk calls wait for one amid work.
	peerOrDisk = syscalltrace.ClassInput | syscalltrace.ClassOutput | syscalltrace.ClassConnect | syscalltrace.ClassReadiness

	emfile, enfile, einprogress                                       = 24, 23, 115
	eaddrnotavail, enetunreach, etimedout, econnrefused, ehostunreach = 99, 101, 110, 111, 113
)

// Name returns the pattern the features show, empty if none.
func (f *Features) Name() string {
	byClass := map[syscalltrace.Class]float64{}
	for _, nr := range slices.Sorted(maps.Keys(f.ByCall)) {
		ns := f.ByCall[nr]
		if f.TimedOut[nr] > 0.5 {
			byClass[syscalltrace.ClassSleep] += ns
			continue
		}
		for _, c := range []syscalltrace.Class{syscalltrace.ClassSync, syscalltrace.ClassSleep, syscalltrace.ClassFutex, syscalltrace.ClassFileLock, peerOrDisk} {
			if f.Classes.Is(nr, c) {
				byClass[c] += ns
			}
		}
	}
	if f.failing(emfile, enfile) {
		return PatternDescriptorExhaustion
	}
	if f.OnlyRefusals {
		if f.triesAgain() {
			return PatternConnectionChurn
		}
		if f.failing(econnrefused, ehostunreach, enetunreach, etimedout, eaddrnotavail) {
			return PatternPeerUnreachable
		}
		return PatternResourceExhaustion
	}
	if f.Waiting > f.CPU {
		switch half := f.Waiting / 2; {
		case byClass[syscalltrace.ClassSync] > half:
			return PatternSyncWrite
		case f.Lock > half, byClass[syscalltrace.ClassFileLock] > half:
			return PatternLockWait
		case byClass[syscalltrace.ClassSleep] > half:
			return PatternSleepInRequest
		case f.Stuck > half:
			return PatternStuckCall
		case byClass[syscalltrace.ClassFutex] > half:
			// The kernel has it for threads to wait for each other only, and it
			// is amid work.
			return PatternLockWait
		case byClass[peerOrDisk] > half:
			return PatternBlockedIO
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
		excess := c.Now - ManyTimes*c.Past
		if c.Errno == 0 && f.Classes.Is(c.Number, syscalltrace.ClassInput|syscalltrace.ClassOutput) {
			moving += c.Now
			movingPast += c.Past
			bytesNow += c.BytesNow
			bytesPast += c.BytesPast
		}
		if excess < NotRare {
			continue
		}
		more += excess
		switch {
		case f.Classes.Is(c.Number, syscalltrace.ClassAccept|syscalltrace.ClassConnect) && (c.Errno == 0 || c.Errno == einprogress):
			connections += excess
		case c.Errno != 0:
			failing += excess
		case f.Classes.Is(c.Number, syscalltrace.ClassReadiness) && c.Mean < instant:
			readiness += excess
		case f.Classes.Is(c.Number, syscalltrace.ClassMemory):
			memory += excess
			mapping += excess * c.Mean
		case f.Classes.Is(c.Number, syscalltrace.ClassLookup):
			lookups += excess
		}
	}
	// A loop around calls turns in less than a tenth of a millisecond; user
	// code with fewer new calls than that is no such loop.
	computes := f.CPUOutsideCalls > 0.7*f.CPU
	if loops := more*instant > f.CPU/2; !loops && computes {
		return PatternLongComputation
	}
	switch fifth := more / 5; {
	case more == 0:
		return PatternLongComputation
	case failing > fifth:
		return PatternBusyFailingCall
	case connections*perConnection > more/2:
		return PatternConnectionChurn
	case readiness > fifth:
		return PatternPollWithoutSleep
	case memory > fifth && mapping > faultIn*f.CPU:
		return PatternMemoryMapChurn
	case moving > ManyTimes*movingPast && bytesNow*movingPast < bytesPast*moving/ManyTimes:
		return PatternTinyIO
	case lookups > more/2:
		return PatternTinyIO
	case computes:
		return PatternLongComputation
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
		case f.Classes.Is(c.Number, syscalltrace.ClassConnect) && c.Errno == einprogress:
			begun += c.Now
			past += c.Past
		case f.Classes.Is(c.Number, syscalltrace.ClassConnect):
			ended += c.Now
			past += c.Past
		case f.Classes.Is(c.Number, syscalltrace.ClassInput) && c.Errno == 0 && c.BytesNow > 0:
			reads += c.Now
		}
	}
	tries := max(begun, ended)
	return tries > NotRare && tries > ManyTimes*past && tries > reads
}

func (f *Features) failing(errnos ...int32) bool {
	for _, c := range f.Calls {
		for _, e := range errnos {
			if c.Errno == e && c.Now > 1 && c.Now > ManyTimes*c.Past {
				return true
			}
		}
	}
	return false
}
