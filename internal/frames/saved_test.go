package frames

import (
	"slices"
	"testing"

	"github.com/perfscope/perfscope/pkg/threadtrace"
)

func TestSavedStacksAreTheSameInAnotherTable(t *testing.T) {
	app := func(name string) threadtrace.Frame {
		return threadtrace.Frame{Function: name, Module: "server", File: name + ".c", Line: 7}
	}
	lib := func(name, module string) threadtrace.Frame {
		return threadtrace.Frame{Function: name, Module: module, Origin: threadtrace.OriginLibrary}
	}
	jit := threadtrace.Frame{Function: "Hot", Module: jitModule}
	stacks := []threadtrace.Stack{
		{Frames: []threadtrace.Frame{lib("pthread_mutex_lock", "libc.so.6"), app("take"), app("main")}},
		{Frames: []threadtrace.Frame{lib("deflate", "libz.so.1"), app("compress"), app("main")}},
		{Frames: []threadtrace.Frame{{Function: "collect", Module: "libjvm.so", Origin: threadtrace.OriginRuntime}}},
		{Frames: []threadtrace.Frame{jit, {Function: "Interpreter", Module: jitModule, Origin: threadtrace.OriginRuntime}, app("main")}},
	}
	from, to := NewTable(), NewTable()
	to.Intern(&threadtrace.Stack{Frames: []threadtrace.Frame{app("earlier")}})
	var saved, ids []uint32
	for i := range stacks {
		ids = append(ids, from.Intern(&stacks[i]), from.InternPlace(&stacks[i]))
	}
	saver := NewSaver(from)
	for _, id := range ids {
		saved = append(saved, saver.Stack(id))
	}
	if err := saver.Saved.Check(); err != nil {
		t.Fatal(err)
	}
	restored := to.Restore(&saver.Saved)
	for i := range stacks {
		want := []uint32{to.Intern(&stacks[i]), to.InternPlace(&stacks[i])}
		got := []uint32{restored.Stacks[saved[2*i]], restored.Stacks[saved[2*i+1]]}
		if !slices.Equal(got, want) {
			t.Errorf("stack %d is %v in the other table, and %v when it is seen there", i, got, want)
		}
		a, b := from.Get(ids[2*i]), to.Get(got[0])
		if a.flags() != b.flags() || len(a.Frames) != len(b.Frames) || from.Function(a.Frames[0]) != to.Function(b.Frames[0]) || from.runtimes[a.Frames[0]] != to.runtimes[b.Frames[0]] {
			t.Errorf("stack %d: %+v became %+v", i, a, b)
		}
	}
}

func TestSavedNumbersAreChecked(t *testing.T) {
	for _, s := range []Saved{
		{Stacks: []SavedStack{{Frames: []int32{0}}}},
		{Stacks: []SavedStack{{Library: 1}}},
		{Stacks: []SavedStack{{Place: []SavedFrame{{Function: 1}}}}},
		{Stacks: []SavedStack{{Frames: make([]int32, 2*maxFrames)}}, Functions: make([]SavedFunction, 1)},
		{Stacks: make([]SavedStack, 3*MaxStacks)},
	} {
		if s.Check() == nil {
			t.Errorf("%d stacks, %d functions: no error", len(s.Stacks), len(s.Functions))
		}
	}
}
