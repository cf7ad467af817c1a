// Package scenario declares what the testbed can do: a real server under a
// steady load, a real cause of slowness that is turned on while the load goes
// on, and the functions that are to blame. One file each; All lists them.
package scenario

import (
	"context"
	"time"

	"github.com/perfscope/perfscope/testbed/load"
	"github.com/perfscope/perfscope/testbed/server"
)

// Scenario is one experiment.
type Scenario struct {
	// Name is short and unique, Title says it in a few words.
	Name, Title string
	// Normal says what the server does before the fault.
	Normal string
	// Fault says what happens then, and why that makes it slow; empty for
	// a scenario without one.
	Fault string
	// Truth are the functions to blame: any of them counts.
	Truth []string
	// Top is the place the truth must reach.
	Top int
	// Learn is the time before the fault, Observe the time after it.
	Learn, Observe time.Duration
	// Steps change the load's rate, for a scenario without a fault.
	Steps []Step
	// Start brings the server up with its data in place.
	Start func(ctx context.Context) (Workload, error)
}

// Step holds the load at Factor times its rate for a while.
type Step struct {
	Factor float64
	For    time.Duration
}

// Workload is a running server and the load that it is put under.
type Workload struct {
	Server *server.Server
	// Load is started once the collector runs.
	Load load.Config
	// Fault turns the cause of slowness on; what it returns ends it.
	Fault func(ctx context.Context) (end func(), err error)
}

// Demo is what `make demo` shows.
func Demo() Scenario { return redisFsync() }

// Faults are what `make faults` runs: one of each kind.
func Faults() []Scenario {
	return []Scenario{redisAccept(), redisKeys(), postgresLock()}
}

// Healthy is what `make healthy` watches.
func Healthy() Scenario { return nginxHealthy() }

// More are faults that run by name only.
func More() []Scenario { return []Scenario{nginxRegex(), postgresIndex()} }

// All lists every scenario.
func All() []Scenario {
	return append(append([]Scenario{Demo(), Healthy()}, Faults()...), More()...)
}
