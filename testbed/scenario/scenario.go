// Package scenario declares what the testbed can do: a real server under a
// steady load, a real cause of slowness that is turned on while the load goes
// on, and the functions that are to blame. A file each; All lists them by
// server.
package scenario

import (
	"context"
	"slices"
	"time"

	"github.com/perfscope/perfscope/testbed/load"
	"github.com/perfscope/perfscope/testbed/server"
)

// Scenario is one experiment.
type Scenario struct {
	// Name is short and unique, Title says it in a few words.
	Name, Title string
	// Server is the program under test, by the name of its service,
	// Language what it is written in.
	Server   string
	Language Language
	// Beside are the services of Workload.Beside.
	Beside []string
	// Kind is the mechanism of the fault, Source where server and bug come
	// from.
	Kind   Kind
	Source Source
	// Split says what the scenario may be used for.
	Split Split
	// Quick puts it into the third that `make eval-quick` runs.
	Quick bool
	// Normal says what the server does before the fault.
	Normal string
	// Fault says what happens then, and why that makes it slow; empty for
	// a scenario without one.
	Fault string
	// Truth are the functions to blame, as the collector writes them: any
	// of them counts. They hold the mistake or were called by mistake; the
	// event loop and main are not among them because they lead there.
	Truth []string
	// Patterns are the names that are right for it; empty when none fits.
	Patterns []string
	// Top is the place the truth must reach; zero is 5.
	Top int
	// Learn is the time before the fault, Observe the time after it; zero
	// is DefaultLearn and DefaultObserve.
	Learn, Observe time.Duration
	// Steps are what happens to a healthy server, for a scenario without a
	// fault.
	Steps []Step
	// Start brings the server up with its data in place.
	Start func(ctx context.Context) (Workload, error)
}

// Long enough for the hops that the inference asks of a past, and for a hop
// that holds nothing but the fault.
const (
	DefaultLearn   = 45 * time.Second
	DefaultObserve = 25 * time.Second
)

// Language is what a server is written in.
type Language string

// The languages of the testbed.
const (
	C      Language = "c"
	Erlang Language = "erlang"
	Go     Language = "go"
	Java   Language = "java"
	Node   Language = "node"
	PHP    Language = "php"
	Python Language = "python"
	Ruby   Language = "ruby"
	Rust   Language = "rust"
)

// Kind is the mechanism that makes a server slow.
type Kind string

// The kinds of fault.
const (
	BusyFailingCall Kind = "busy_failing_call"   // a loop on a failing or would-block call
	PollNoSleep     Kind = "poll_without_sleep"  // an event loop that never sleeps
	Computation     Kind = "computation"         // pure CPU inside a request, no system calls
	Hang            Kind = "hang"                // a call that does not return: no answer, a lock never released
	LockConvoy      Kind = "lock_convoy"         // threads queue behind one lock
	SyncWrite       Kind = "sync_write"          // a synchronous write or fsync in the hot path
	TinyIO          Kind = "tiny_io"             // many small calls in place of a large one
	Churn           Kind = "connection_churn"    // a retry storm, a connection for every request
	Sleep           Kind = "sleep"               // a sleep or a timeout inside a request
	Exhaustion      Kind = "resource_exhaustion" // no descriptors or buffers left
	Allocation      Kind = "allocation_churn"    // memory taken and given back all the time
)

// Source says where the server and its slowness come from.
type Source string

const (
	// Debian is a server as Debian ships it, driven into slowness by its
	// configuration, its commands or a client.
	Debian Source = "debian"
	// GoModule and NPM are servers from those registries.
	GoModule Source = "go_module"
	NPM      Source = "npm"
	// Own is a server of the testbed that has the mechanism of a published
	// bug.
	Own Source = "testbed"
)

// Split keeps the figures honest: half of the scenarios may guide the
// inference, the other half is looked at when it is done.
type Split string

// The two halves.
const (
	Tune   Split = "tune"
	Report Split = "report"
)

// Step is a stretch of a healthy server's life.
type Step struct {
	// Say tells what happens.
	Say string
	// Factor multiplies the load's rate; zero leaves it as it is.
	Factor float64
	// Do happens at the start of the step; what it returns, if anything,
	// ends it.
	Do  func(ctx context.Context) (end func(), err error)
	For time.Duration
}

// Workload is a running server and the load that it is put under.
type Workload struct {
	Server *server.Server
	// Beside are servers that are watched, too; Stop ends them.
	Beside []*server.Server
	// Load is started once the server runs.
	Load load.Config
	// Fault turns the cause of slowness on; what it returns ends it.
	Fault func(ctx context.Context) (end func(), err error)
	// Stop ends what Start started beside the server; nil when there is
	// nothing.
	Stop func()
}

// All lists every scenario with a fault.
func All() []Scenario {
	return slices.Concat(
		redis(), nginx(), postgres(),
		apache(), lighttpd(), haproxy(), memcached(), mariadb(),
		ownC(), goServers(), javaServers(), nodeServers(),
		unseen(), publicCases(), generalCauses(), languageFaults(), embeddedFaults(), exam(), secondExam(), thirdExam(), fourthExam(),
	)
}

// Healthy lists what must raise nothing; `make healthy` runs the first.
func Healthy() []Scenario { return healthy() }

// Demo is what `make demo` shows, at the pace of somebody who looks on.
func Demo() Scenario {
	sc := redisFsync()
	sc.Learn, sc.Observe = 70*time.Second, 30*time.Second
	return sc
}

// Faults are what `make faults` runs: one of each sort of evidence.
func Faults() []Scenario {
	return []Scenario{redisAccept(), redisKeys(), postgresLock()}
}
