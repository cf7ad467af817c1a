package perfscopeprocessor

import (
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/perfscope/perfscope/internal/evidence"
	"github.com/perfscope/perfscope/internal/profile"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

const (
	// quietAfter is for how long a service may have no past before the log says
	// that it cannot be judged; then it is said again ever more rarely.
	quietAfter  = 3 * time.Minute
	quietGrowth = 4
	quietMost   = time.Hour
	// namesAfter is when the names of a service's functions are looked at, and
	// fewStacks how many stacks that takes.
	namesAfter = 2 * time.Minute
	fewStacks  = 50
	// namedShare is the share of frames below which a service counts as one
	// without names.
	namedShare = 0.1
	// tellingShare is the share of stacks with a function of the application below
	// which a runtime that could name more names none: threads that wait for work
	// have none either.
	tellingShare = 0.01
)

// namesOf is what brings the names of functions, by process.runtime.name.
var namesOf = map[string]string{
	"nodejs":  "start it with node --perf-basic-prof --interpreted-frames-native-stack (or these in NODE_OPTIONS), or add config/profiles.yaml to the agent's",
	"jvm":     "start it with java -XX:+PreserveFramePointer and set the receiver's jvm::perf_map_interval: 30s, or add config/profiles.yaml to the agent's",
	"cpython": "set the receiver's stacks::interpreters: true, which reads Python 3.8 to 3.13; of others, add config/profiles.yaml to the agent's",
	"ruby":    "set the receiver's stacks::interpreters: true, which reads Ruby 3.1; of others, add config/profiles.yaml to the agent's",
	"php":     "set the receiver's stacks::interpreters: true, which reads PHP 8.2; of others, add config/profiles.yaml to the agent's",
	"perl":    "add config/profiles.yaml to the agent's",
	"dotnet":  "start it with DOTNET_PerfMapEnabled=1, or add config/profiles.yaml to the agent's",
}

// prospects say in the log, once each, that a service is learned, or why it
// cannot be judged: without that a user waits for anomalies that cannot come.
type prospects struct {
	// began is the events' time when it was seen first, nanoseconds since the
	// epoch; quiet is when it is next said that there is no past.
	began, quiet int64
	wait         time.Duration
	learned      bool
	// why is why there is no past, once that is said.
	why string
	// named and frames count the frames of its own programs with a name and in
	// all; stacks counts their stacks, telling those that name a function of the
	// application. Counting ends with the line about them.
	named, frames, stacks, telling int
	looked                         bool
	// signatures is set when functions are to be told by calls; called once one
	// has come.
	signatures, called bool
}

// see counts the names in a batch.
func (p *prospects) see(b *threadtrace.Batch) {
	if p.looked {
		return
	}
	p.called = p.called || slices.ContainsFunc(b.Events, func(e threadtrace.Event) bool { return e.Kind == threadtrace.KindCall })
	for _, s := range b.Stacks {
		p.stacks++
		if profile.Named(&s) {
			p.telling++
		}
		for _, f := range s.Frames {
			p.frames++
			if f.Function != "" {
				p.named++
			}
		}
	}
}

// look is called when hops up to an instant were judged.
func (p *prospects) look(log *zap.Logger, s *service, until int64) {
	if p.began == 0 {
		p.began, p.wait = until, quietAfter
		p.quiet = until + int64(quietAfter)
	}
	name := zap.String("service.name", s.name)
	age := time.Duration(until - p.began)
	// A past of nothing is none: the load of an idle hop is as usual then, too.
	if !p.learned && s.stats.Active > 0 {
		p.learned = true
		s.mark(until, "learned: judged from now on")
		log.Info("A service is learned: from now on it is judged.", name, zap.Duration("after", age), zap.Int("execution_units", s.stats.Units))
	}
	if !p.learned && until >= p.quiet {
		p.wait = min(p.wait*quietGrowth, quietMost)
		p.quiet = until + int64(p.wait)
		why := "it is too quiet: it has hardly worked in this time, and needs about half a minute of normal life"
		if s.stats.UnitsSeen == 0 {
			why = "nothing is seen of its work: is it idle, or is the load on another host?"
		}
		p.why = why
		log.Info("A service cannot be judged yet.", name, zap.String("why", why),
			zap.Duration("watched_for", age), zap.Uint64("execution_units_seen", s.stats.UnitsSeen), zap.Duration("next_line_in", p.wait))
	}
	if !p.looked && age >= namesAfter && s.stats.UnitsSeen > 0 {
		p.names(log, name, s.processes.runtime())
	}
}

// state is how far the service is known, and why not further.
func (p *prospects) state() (evidence.State, string) {
	switch {
	case p.learned:
		return evidence.Judged, ""
	case p.why != "":
		return evidence.Blind, p.why
	case p.began != 0:
		return evidence.Learning, ""
	}
	return evidence.Found, ""
}

// names says when functions will not have names.
func (p *prospects) names(log *zap.Logger, name zap.Field, runtime string) {
	if p.signatures && !p.called {
		log.Warn("Signatures tell nothing of a service: no system call of it comes. The receiver's mode is watch, which records none; set it to burst or continuous.", name)
		p.signatures = false // told
	}
	switch {
	case p.stacks == 0:
		log.Warn("A service cannot be judged by function: no stack has come with its calls. The receiver's log says what the kernel denies; stacks::every is 0, its program cannot be read, or the overhead_budget is used up by many services on few CPUs.", name)
	case p.stacks < fewStacks:
		return // it is looked at again
	case namesOf[runtime] != "" && float64(p.telling) < tellingShare*float64(p.stacks):
		log.Warn("The functions of a service have hardly any names: what is reported are functions of its runtime, and system calls.",
			name, zap.String("process.runtime.name", runtime), zap.String("do", namesOf[runtime]), zap.Int("stacks", p.stacks), zap.Int("stacks_with_names", p.telling))
	case float64(p.named) < namedShare*float64(p.frames):
		log.Warn("The functions of a service have hardly any names: they are told by address (module+0x...).",
			name, zap.String("do", "install the debug symbols of its program (docs/install/troubleshooting.md)"), zap.Int("named_frames", p.named), zap.Int("frames", p.frames))
	}
	p.looked = true
}
