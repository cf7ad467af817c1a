package profile

import (
	"cmp"
	"slices"
	"strings"

	"github.com/perfscope/perfscope/internal/stack"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// Stack is a stack of a sample.
type Stack struct {
	// User has the functions of the program, innermost first.
	User threadtrace.Stack
	// Call is the name of the system call that the thread is in, told by the kernel's
	// functions above; empty when there are none.
	Call string
}

// AddKernel takes a function of the kernel on the stack into account.
func (s *Stack) AddKernel(function string) {
	if s.Call != "" {
		return
	}
	// The functions of arch/*/include/asm/syscall_wrapper.h, innermost first.
	for _, prefix := range []string{"__do_sys_", "__se_sys_", "__x64_sys_", "__arm64_sys_"} {
		if call, ok := strings.CutPrefix(function, prefix); ok && len(call) < 64 {
			s.Call = call
			return
		}
	}
}

// Named reports whether a function of the application on the stack has a name. Those
// of an interpreter are not the application's, even where it is the program that runs.
func Named(s *threadtrace.Stack) bool {
	return slices.ContainsFunc(s.Frames, func(f threadtrace.Frame) bool {
		return f.Origin == threadtrace.OriginApplication && !strings.HasPrefix(f.Function, f.Module+"+0x") && !stack.IsInterpreter(f.Module)
	})
}

// Sample is that a thread was seen with a stack.
type Sample struct {
	// Thread is its id, zero when that is not known.
	Thread int32
	Name   string
	// Stack is shared among samples.
	Stack *Stack
	// Trace and Span are of the span that the thread worked on, zero when that is not
	// known.
	Trace [16]byte
	Span  [8]byte
	// Times are when it was seen, nanoseconds since the Unix epoch.
	Times []int64
	// Each is the time that one of them stands for, in nanoseconds.
	Each int64
	// Blocked is set when the thread was off the CPU, for Each before each of Times;
	// else it was on it.
	Blocked bool
}

// Batches turns samples into what is known of each thread, on a machine of an
// architecture. Those of a thread off the CPU in a call that is not told are left out
// and counted: whether it waits for something to do cannot be said.
func Batches(samples []Sample, arch string) (batches []*threadtrace.Batch, noCall int) {
	threads := map[int32]*threadBatch{}
	for i := range samples {
		s := &samples[i]
		number := threadtrace.NoCall
		if s.Stack.Call != "" {
			if n, ok := threadtrace.Number(arch, s.Stack.Call); ok {
				number = n
			}
		}
		kind := threadtrace.KindSample
		if s.Blocked {
			if kind = threadtrace.KindBlocked; number == threadtrace.NoCall {
				noCall += len(s.Times)
				continue
			}
		}
		t := threads[s.Thread]
		if t == nil {
			t = &threadBatch{Batch: &threadtrace.Batch{ThreadID: s.Thread, ThreadName: s.Name}, stacks: map[*Stack]uint32{}}
			threads[s.Thread] = t
			batches = append(batches, t.Batch)
		}
		t.link(s)
		ref := t.stack(s.Stack)
		for _, at := range s.Times {
			e := threadtrace.Event{Time: at, Duration: s.Each, Number: number, Stack: ref, Kind: kind}
			if s.Blocked {
				e.Elapsed = s.Each
			}
			t.Events = append(t.Events, e)
		}
	}
	for _, b := range batches {
		slices.SortStableFunc(b.Events, func(a, b threadtrace.Event) int { return cmp.Compare(a.Time, b.Time) })
	}
	return batches, noCall
}

type threadBatch struct {
	*threadtrace.Batch
	stacks map[*Stack]uint32
	spans  map[[24]byte]bool
}

// link notes, once for each span, that the thread worked on it: what is known of the
// request that it then had.
func (t *threadBatch) link(s *Sample) {
	id := [24]byte(append(s.Trace[:], s.Span[:]...))
	if id == [24]byte{} || t.spans[id] || len(s.Times) == 0 {
		return
	}
	if t.spans == nil {
		t.spans = map[[24]byte]bool{}
	}
	t.spans[id] = true
	t.Contexts = append(t.Contexts, threadtrace.Context{Time: s.Times[0], TraceID: s.Trace, ParentID: s.Span})
}

func (t *threadBatch) stack(s *Stack) uint32 {
	if len(s.User.Frames) == 0 {
		return 0
	}
	id, known := t.stacks[s]
	if !known {
		t.Stacks = append(t.Stacks, s.User)
		id = uint32(len(t.Stacks)) //nolint:gosec // bounded by the samples
		t.stacks[s] = id
	}
	return id
}
