// Package baseline ranks functions by what people look at today, in the same
// recording that PerfScope is judged by.
package baseline

import (
	"errors"
	"fmt"

	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/perfscope/perfscope/pkg/inference/thin"
	"github.com/perfscope/perfscope/pkg/threadtrace"
	"github.com/perfscope/perfscope/pkg/threadtrace/tracelog"
	"github.com/perfscope/perfscope/testbed/agent"
	"github.com/perfscope/perfscope/testbed/recording"
)

// Span is a stretch of time in nanoseconds since the epoch, To excluded.
type Span struct{ From, To int64 }

func (s Span) seconds() float64       { return float64(s.To-s.From) / 1e9 }
func (s Span) contains(at int64) bool { return s.From <= at && at < s.To }

// Question is what to rank: the time of some processes in the slow phase, and
// what was normal before. A person knows both; PerfScope is not told.
type Question struct {
	// PIDs are the processes looked at; none means all.
	PIDs         map[int]bool
	Normal, Slow Span
	Truth        []string
}

// Ranks are the places of the first true function, counted from one; zero when
// it is not in that list. In a tie it has the middle, rounded down the list.
type Ranks struct {
	// CPUSelf is by samples in which a function is innermost, CPUInclusive by
	// those in which it is anywhere, as perf report lists them without and
	// with --children. What runs in the kernel is counted for the function
	// that made the call, libc's most often.
	CPUSelf      int `json:"cpu_self"`
	CPUInclusive int `json:"cpu_inclusive"`
	// CPUIncreaseNearest is by how much more CPU time a function of the
	// application takes, with the libraries and the kernel it calls into.
	CPUIncreaseNearest int `json:"cpu_increase_nearest"`
	// SyscallTime is by the time that a function of the application is in
	// system calls, waits for something to do among them.
	SyscallTime int `json:"syscall_time"`
	// Wall is by the time of all threads, running or waiting, in a function of the
	// application with what it calls into.
	Wall int `json:"wall,omitempty"`
}

// Rank ranks the functions of a recording. With recording.ErrTruncated the
// ranks are those of what the file holds.
func Rank(path string, q Question) (Ranks, error) {
	if q.Slow.To <= q.Slow.From || q.Normal.To <= q.Normal.From {
		return Ranks{}, errors.New("the normal and the slow phase must each end after they begin")
	}
	lists := newTally(q)
	err := recording.Read(path, lists.add)
	if err != nil && !errors.Is(err, recording.ErrTruncated) {
		return Ranks{}, err
	}
	return lists.ranks(), err
}

// RankThin ranks the functions of thin recordings of services, which are of the
// processes looked at. They do not tell in which call a thread computes, so that
// SyscallTime is that of waits.
func RankThin(services [][]*thin.Interval, q Question) Ranks {
	lists := newTally(q)
	for _, intervals := range services {
		for _, i := range intervals {
			for _, c := range i.Cells {
				if c.Stack > 0 && int(c.Stack) <= len(i.Stacks) {
					lists.see(i.Stacks[c.Stack-1].Frames, i.Start+(i.End-i.Start)/2, float64(c.Time), !c.Waiting, c.Waiting)
				}
			}
		}
	}
	return lists.ranks()
}

// function is a line of such a list: equal names in two modules are two.
type function struct{ name, module string }

// list has a value for each function.
type list map[function]float64

// rank is the place of the first function that is in truth. What has not more
// than nothing is not in the list.
func (l list) rank(truth []string) int {
	best := 0
	for f, v := range l {
		if v <= 0 || !agent.Named(f.name, truth) {
			continue
		}
		above, equal := 0, 0
		for _, w := range l {
			switch {
			case w > v:
				above++
			case w == v: // f is one of them
				equal++
			}
		}
		if place := above + equal/2 + 1; best == 0 || place < best {
			best = place
		}
	}
	return best
}

// tally has the lists in nanoseconds; slow and normal are the CPU time of the
// nearest functions in either phase.
type tally struct {
	question                                      Question
	self, inclusive, slow, normal, syscalls, wall list
}

func newTally(q Question) tally {
	return tally{question: q, self: list{}, inclusive: list{}, slow: list{}, normal: list{}, syscalls: list{}, wall: list{}}
}

func (t *tally) ranks() Ranks {
	truth := t.question.Truth
	return Ranks{
		CPUSelf:            t.self.rank(truth),
		CPUInclusive:       t.inclusive.rank(truth),
		CPUIncreaseNearest: t.increase().rank(truth),
		SyscallTime:        t.syscalls.rank(truth),
		Wall:               t.wall.rank(truth),
	}
}

// increase is in nanoseconds per second.
func (t *tally) increase() list {
	l := list{}
	for f, slow := range t.slow {
		l[f] = slow/t.question.Slow.seconds() - t.normal[f]/t.question.Normal.seconds()
	}
	return l
}

func (t *tally) add(ld plog.Logs) error {
	for _, rl := range ld.ResourceLogs().All() {
		attrs := rl.Resource().Attributes()
		if pid, ok := attrs.Get("process.pid"); len(t.question.PIDs) > 0 && (!ok || !t.question.PIDs[int(pid.Int())]) {
			continue
		}
		arch, _ := attrs.Get("host.arch")
		h := tracelog.Handler{Arch: arch.AsString(), Batch: func(_ string, b *threadtrace.Batch) { t.batch(b) }}
		for _, sl := range rl.ScopeLogs().All() {
			if errs := tracelog.Decode(sl.LogRecords(), h); len(errs) > 0 {
				return fmt.Errorf("the recording has a record that cannot be read: %w", errs[0])
			}
		}
	}
	return nil
}

func (t *tally) batch(b *threadtrace.Batch) {
	for i := range b.Events {
		e := &b.Events[i]
		if e.Kind != threadtrace.KindSample && e.Kind != threadtrace.KindBlocked || e.Stack == 0 || int(e.Stack) > len(b.Stacks) {
			continue
		}
		t.see(b.Stacks[e.Stack-1].Frames, e.Time, float64(e.Duration), e.Kind == threadtrace.KindSample, e.Number != threadtrace.NoCall)
	}
}

// see counts a time at a stack, on a CPU or waiting, in a system call or not.
func (t *tally) see(frames []threadtrace.Frame, at int64, took float64, onCPU, inCall bool) {
	slow, normal := t.question.Slow.contains(at), t.question.Normal.contains(at)
	near, known := nearest(frames)
	if slow && known && inCall {
		t.syscalls[near] += took
	}
	if slow && known {
		t.wall[near] += took
	}
	if !onCPU {
		return
	}
	if slow && known {
		t.slow[near] += took
	}
	if normal && known {
		t.normal[near] += took
	}
	if slow {
		t.callers(frames, took)
	}
}

// callers adds a sample to the innermost function, and to each on the stack
// once.
func (t *tally) callers(frames []threadtrace.Frame, took float64) {
	seen := map[function]bool{}
	for i := range frames {
		// Inlined code is no function of its own to a profiler.
		if frames[i].Inlined {
			continue
		}
		f := function{frames[i].Function, frames[i].Module}
		if len(seen) == 0 {
			t.self[f] += took
		}
		if !seen[f] {
			seen[f] = true
			t.inclusive[f] += took
		}
	}
}

// nearest is the innermost function of the application.
func nearest(frames []threadtrace.Frame) (function, bool) {
	for i := range frames {
		if f := &frames[i]; f.Origin == threadtrace.OriginApplication && !f.Inlined {
			return function{f.Function, f.Module}, true
		}
	}
	return function{}, false
}
