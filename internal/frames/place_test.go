package frames

import (
	"strings"
	"testing"

	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// jitStack is a stack of a Java thread: I is an interpreted frame, ? a compiled one
// that has no name yet, @ marks native and ~ compiled library code.
func jitStack(text string) *threadtrace.Stack {
	s := &threadtrace.Stack{}
	for _, f := range strings.Fields(text + " @start_thread") {
		frame := threadtrace.Frame{Function: f, Module: "[jit]"}
		switch name := f[1:]; {
		case f == "I":
			frame.Function, frame.Origin = "Interpreter", threadtrace.OriginRuntime
		case f == "?":
			frame.Function, frame.Origin = "[jit]", threadtrace.OriginUnknown
		case f[0] == '~':
			frame.Function, frame.Origin = name, threadtrace.OriginLibrary
		case f[0] == '@':
			frame = threadtrace.Frame{Function: name, Module: "libjvm.so", Origin: threadtrace.OriginRuntime}
		}
		s.Frames = append(s.Frames, frame)
	}
	return s
}

// Views of one place as HotSpot gave them in the life of a thread, and others.
func TestAPlaceIsTheSameWhateverIsCompiled(t *testing.T) {
	for _, tc := range []struct {
		name, earlier, now string
		same               bool
	}{
		{"the loop is compiled", "@park ~park ~poll I I", "@park ~park ~poll AccessLog.run I", true},
		{"callees become part of it", "@park ~park ~parkNanos ~awaitNanos ~poll I I", "@park ~park AccessLog.run I", true},
		{"and get frames again", "@park ~park ~getTask I I I", "@park ~park ~await ~take I I I I", true},
		{"some do, some no longer do", "@park ~park ~poll I I", "@park ~park ~awaitNanos AccessLog.run I", true},
		{"it has no name yet", "@park ~park ? I I", "@park ~park ~poll I I", true},
		{"all of it was interpreted", "@park I I I I I", "@park ~park Loop.take Loop.run I", true},
		{"another native wait", "@park ~park ~poll I I", "@sleep ~sleep Loop.run I", false},
		{"a deeper call of interpreted code", "@park ~park ~getTask I I I", "@park ~park ~get Client.ask Api.quote Task.run I I I", false},
		{"a call of the application that was never seen", "@park ~park ~poll Loop.run I", "@park ~park ~poll Cache.refresh Loop.run I", false},
		{"one more frame than the interpreter had", "@park ~park I I", "@park ~park Client.ask I I", false},
		{"a native frame that an interpreted one can't be", "@park ~park I I", "@park ~park @call Loop.run", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			stacks := NewTable()
			earlier := stacks.Get(stacks.InternPlace(jitStack(tc.earlier)))
			now := stacks.Get(stacks.InternPlace(jitStack(tc.now)))
			if got := now.Same(earlier); got != tc.same {
				t.Errorf("the same place: %v", got)
			}
		})
	}
}

func TestPlacesAreToldApartOnlyForWaits(t *testing.T) {
	stacks := NewTable()
	poll, take := jitStack("@park ~park ~poll I I"), jitStack("@park ~park ~take I I")
	plain, place := stacks.Intern(poll), stacks.InternPlace(poll)
	if stacks.Intern(poll) != plain {
		t.Error("one stack is two")
	}
	if place == plain || stacks.InternPlace(take) == place || stacks.InternPlace(poll) != place {
		t.Error("places are not told apart")
	}
	if stacks.Plain(place) != plain || stacks.Plain(plain) != plain {
		t.Error("the stack of a place is another")
	}
	native := stack("@read receive main")
	if stacks.Intern(native) != stacks.InternPlace(native) {
		t.Error("a stack without compiled code has a place of its own")
	}
	for range 2 * MaxStacks {
		poll.Frames = append(poll.Frames[:0:0], poll.Frames...)
		poll.Frames[1].Function += "x"
		stacks.InternPlace(poll)
	}
	if stacks.Len() > 2*MaxStacks {
		t.Errorf("%d stacks are kept", stacks.Len())
	}
}

func TestAStackThatWasCutShortIsContinued(t *testing.T) {
	stacks := NewTable()
	at := func(text string) *Stack {
		s := jitStack(text)
		if cut, ok := strings.CutSuffix(text, " ..."); ok {
			s = jitStack(cut)
			s.Frames = s.Frames[:len(s.Frames)-1]
		}
		return stacks.Get(stacks.InternPlace(s))
	}
	whole := at("@write0 ~write Cnxn.send Watches.dump I")
	for cut, continued := range map[string]bool{
		"@write0 ~write ...":                      true,
		"@write0 ~write Cnxn.send ...":            true,
		"@write0 ~writev ...":                     false,
		"@write0 ~write Cnxn.send Watches.dump I": false, // it is the same
		"@write0 ~write Cnxn.send Watches.list I": false,
	} {
		if got := whole.Continues(at(cut)); got != continued {
			t.Errorf("%s: %v", cut, got)
		}
	}
}
