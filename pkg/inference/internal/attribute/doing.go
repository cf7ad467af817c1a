package attribute

import (
	"slices"

	"github.com/perfscope/perfscope/internal/frames"
)

// Doing is what the excess with the first suspect on the stack is made of: what
// that function does, in nanoseconds per second.
type Doing struct {
	// CPU is on CPU or at calls, Waiting blocked; ByCall, Lock, Sleep and Stuck are
	// parts of Waiting: by system call, under a lock primitive, in a sleep, in single
	// waits of a second or more.
	CPU, Waiting, Lock, Sleep, Stuck float64
	ByCall                           map[int32]float64
}

// DoingOf sums the evidence up for the first of the suspects, all of it when
// there is none.
func DoingOf(stacks *frames.Table, times []Time, suspects []Suspect) Doing {
	d := Doing{ByCall: map[int32]float64{}}
	for _, t := range times {
		if len(suspects) > 0 && Find(stacks, t.Stack, suspects[0]) < 0 {
			continue
		}
		if t.Kind != EvidenceBlocked {
			d.CPU += t.Excess
			continue
		}
		d.Waiting += t.Excess
		d.ByCall[t.Call] += t.Excess
		if s := stacks.Get(t.Stack); s.Lock {
			d.Lock += t.Excess
		} else if s.Sleep {
			d.Sleep += t.Excess
		}
		if t.Stuck {
			d.Stuck += t.Excess
		}
	}
	return d
}

// Waited is the call with the most of the waiting, false when more of the
// excess is on CPU.
func (d *Doing) Waited() (call int32, ok bool) {
	most := 0.0
	for nr, t := range d.ByCall {
		if t > most || t == most && nr < call {
			call, most = nr, t
		}
	}
	return call, d.Waiting > d.CPU
}

// Find is the place of a suspect among the frames of a stack, -1 if it is none.
func Find(stacks *frames.Table, stack uint32, sus Suspect) int {
	return slices.IndexFunc(stacks.Get(stack).Frames, func(f int32) bool {
		fn := stacks.Function(f)
		return fn.Name == sus.Function && fn.Module == sus.Module
	})
}

// PathTo is the chain of application functions from the outermost caller to
// the suspect, on the stack with the most excess that has it.
func PathTo(stacks *frames.Table, times []Time, s Suspect) []string {
	var best []int32
	most, from := 0.0, uint32(0)
	for _, t := range times {
		if t.Excess < most || t.Excess == most && (t.Stack >= from || most == 0) {
			continue
		}
		if at := Find(stacks, t.Stack, s); at >= 0 {
			most, from, best = t.Excess, t.Stack, stacks.Get(t.Stack).Frames[at:]
		}
	}
	path := make([]string, 0, len(best))
	for i := len(best) - 1; i >= 0; i-- {
		path = append(path, stacks.Function(best[i]).Name)
	}
	return path
}
