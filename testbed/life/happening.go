// Package life runs many healthy servers side by side under one collector, each
// with a small load, while what belongs to ordinary life happens to them. Who
// watches them should have nothing to say.
package life

import "time"

// Kind is what happens.
type Kind string

// The kinds of happening. None makes a service slow by its own fault.
const (
	LoadStep  Kind = "load_step" // up to four times the requests, at once
	LoadRamp  Kind = "load_ramp" // up to four times, by and by, and back
	Night     Kind = "night"     // hardly a request
	Batch     Kind = "batch"     // a nightly job: usual requests, many, over connections of its own
	Restart   Kind = "restart"   // a new process with cold caches
	Deploy    Kind = "deploy"    // the same program again, from another path
	Rolling   Kind = "rolling"   // every instance of a service is restarted, one after the other
	Reload    Kind = "reload"    // the configuration is read again
	Rotate    Kind = "rotate"    // the log is rotated and compressed
	Cron      Kind = "cron"      // short programs beside the server, and a few short connections
	Dump      Kind = "dump"      // the data is dumped with the server's own tool
	Tar       Kind = "tar"       // the files are packed
	Maintain  Kind = "maintain"  // checkpoint, vacuum, compaction of a log
	Flush     Kind = "flush"     // the cache is emptied and warms up again
	Collect   Kind = "collect"   // garbage is collected because somebody asked
	CPU       Kind = "cpu"       // a program beside the servers uses processors
	Disk      Kind = "disk"      // a program beside the servers writes and syncs
	Memory    Kind = "memory"    // a program beside the servers takes memory and gives it back
	Died      Kind = "died"      // a server ended by itself: nothing that was planned
	Unhealthy Kind = "unhealthy" // requests failed while nothing was going on: so is this
)

// Happening is one of them, planned.
type Happening struct {
	// At is from the start of the run, For how long it takes: what is done at
	// once has that long to show.
	At, For time.Duration
	Kind    Kind
	// Instance is the name of whom it happens to; of Rolling it is the name of
	// the service. It is empty for what happens to the machine.
	Instance string
	// Factor is that of a load's rate, or how many processors or GiB are taken.
	Factor float64
}

// End is when it is over.
func (h Happening) End() time.Duration { return h.At + h.For }

// OfMachine reports whether every instance may feel it.
func (h Happening) OfMachine() bool { return h.Kind == CPU || h.Kind == Disk || h.Kind == Memory }

// stretch is how long a kind takes, at least and at most, and how often it comes
// beside the others.
type stretch struct {
	kind     Kind
	min, max time.Duration
	weight   int
}

var ofInstances = []stretch{
	{LoadStep, 30 * time.Second, 180 * time.Second, 20},
	{LoadRamp, 60 * time.Second, 240 * time.Second, 10},
	{Night, 60 * time.Second, 300 * time.Second, 10},
	{Batch, 20 * time.Second, 60 * time.Second, 10},
	{Restart, 15 * time.Second, 30 * time.Second, 4},
	{Deploy, 15 * time.Second, 30 * time.Second, 3},
	{Rolling, 60 * time.Second, 90 * time.Second, 1},
	{Reload, 10 * time.Second, 10 * time.Second, 7},
	{Rotate, 8 * time.Second, 12 * time.Second, 7},
	{Cron, 20 * time.Second, 30 * time.Second, 9},
	{Dump, 10 * time.Second, 20 * time.Second, 6},
	{Tar, 10 * time.Second, 20 * time.Second, 6},
	{Maintain, 10 * time.Second, 20 * time.Second, 6},
	{Flush, 15 * time.Second, 30 * time.Second, 6},
	{Collect, 5 * time.Second, 10 * time.Second, 4},
}

var ofMachine = []stretch{
	{CPU, 10 * time.Second, 40 * time.Second, 2},
	{Disk, 10 * time.Second, 30 * time.Second, 2},
	{Memory, 10 * time.Second, 40 * time.Second, 1},
}
