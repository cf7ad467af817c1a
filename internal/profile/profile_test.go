package profile

import (
	"testing"
	"time"

	"github.com/perfscope/perfscope/pkg/threadtrace"
)

func TestWhichProcessIsMeant(t *testing.T) {
	born := time.Unix(1_700_000_000, 0)
	ours := Process{PID: 7, Created: born, Executable: "/usr/bin/python3.11", Container: "c1", Service: "shop", Host: "h1"}
	for name, tc := range map[string]struct {
		other Process
		same  bool
	}{
		"pid and creation":                   {Process{PID: 7, Created: born.Add(10 * time.Millisecond)}, true},
		"the pid was given anew":             {Process{PID: 7, Created: born.Add(time.Hour), Executable: "/usr/bin/python3.11"}, false},
		"pid and program":                    {Process{PID: 7, Executable: "/usr/bin/python3.11"}, true},
		"another program":                    {Process{PID: 7, Executable: "/usr/bin/ruby3.1"}, false},
		"a pid alone":                        {Process{PID: 7}, false},
		"another host":                       {Process{PID: 7, Executable: "/usr/bin/python3.11", Host: "h2"}, false},
		"another container":                  {Process{PID: 7, Executable: "/usr/bin/python3.11", Container: "c2"}, false},
		"container and service":              {Process{Container: "c1", Service: "shop"}, true},
		"container alone, without a pid":     {Process{Container: "c1"}, true},
		"another pid of the container":       {Process{PID: 8, Container: "c1"}, false},
		"a pid of the container's namespace": {Process{PID: 1, Container: "c1", Service: "shop"}, true},
		"another service of the container":   {Process{Container: "c1", Service: "cron"}, false},
		"the name alone":                     {Process{Service: "shop"}, false},
	} {
		if got := ours.Same(&tc.other); got != tc.same {
			t.Errorf("%s: %v", name, got)
		}
		if got := tc.other.Same(&ours); got != tc.same {
			t.Errorf("%s, the other way: %v", name, got)
		}
		w := &Watched{}
		w.Add("key", ours)
		if key, got := w.Service(&tc.other); got != tc.same || got && key != "key" {
			t.Errorf("%s: service %q, %v", name, key, got)
		}
	}
	w := &Watched{}
	w.Add("a", Process{PID: 1, Container: "c1", Service: "x"})
	w.Add("b", Process{PID: 2, Container: "c1", Service: "x"})
	if key, ok := w.Service(&Process{Container: "c1"}); ok {
		t.Errorf("one of two services is %q", key)
	}
	if _, ok := (*Watched)(nil).Service(&ours); ok {
		t.Error("nothing is watched")
	}
}

func named(name string) *Stack {
	return &Stack{User: threadtrace.Stack{Complete: true, Frames: []threadtrace.Frame{{Function: name, Module: "m.py"}}}}
}

func TestSamplesBecomeTheEventsOfTheirThreads(t *testing.T) {
	work, wait, rest := named("work"), named("wait"), named("rest")
	wait.AddKernel("schedule")
	wait.AddKernel("__x64_sys_recvfrom")
	wait.AddKernel("__x64_sys_read") // further out: what called it
	batches, noCall := Batches([]Sample{
		{Thread: 2, Name: "two", Stack: work, Times: []int64{30, 10}, Each: 5},
		{Thread: 1, Stack: work, Times: []int64{40}, Each: 5},
		{Thread: 2, Stack: wait, Times: []int64{20}, Each: 7, Blocked: true},
		{Thread: 2, Stack: rest, Times: []int64{25, 26}, Each: 7, Blocked: true},
		{Thread: 3, Stack: &Stack{}, Times: []int64{50}, Each: 5},
	}, threadtrace.ArchAMD64)
	if noCall != 2 || len(batches) != 3 {
		t.Fatalf("%d batches, %d in no call", len(batches), noCall)
	}
	recvfrom, _ := threadtrace.Number(threadtrace.ArchAMD64, "recvfrom")
	want := []threadtrace.Event{
		{Time: 10, Duration: 5, Number: threadtrace.NoCall, Stack: 1, Kind: threadtrace.KindSample},
		{Time: 20, Duration: 7, Elapsed: 7, Number: recvfrom, Stack: 2, Kind: threadtrace.KindBlocked},
		{Time: 30, Duration: 5, Number: threadtrace.NoCall, Stack: 1, Kind: threadtrace.KindSample},
	}
	b := batches[0]
	if b.ThreadID != 2 || b.ThreadName != "two" || len(b.Events) != 3 || len(b.Stacks) != 2 {
		t.Fatalf("%+v", b)
	}
	for i := range want {
		if b.Events[i] != want[i] {
			t.Errorf("event %d is %+v, want %+v", i, b.Events[i], want[i])
		}
	}
	if e := batches[2].Events[0]; e.Stack != 0 {
		t.Errorf("a stack without functions is %d", e.Stack)
	}
}

func TestTheSpansThatAThreadWorkedOn(t *testing.T) {
	trace, span := [16]byte{1}, [8]byte{2}
	stack := named("work")
	batches, _ := Batches([]Sample{
		{Thread: 1, Stack: stack, Times: []int64{10, 11}, Each: 5, Trace: trace, Span: span},
		{Thread: 1, Stack: stack, Times: []int64{12}, Each: 5, Trace: trace, Span: span},
		{Thread: 1, Stack: stack, Times: []int64{13}, Each: 5},
		{Thread: 2, Stack: stack, Times: []int64{14}, Each: 5, Trace: trace, Span: span},
	}, threadtrace.ArchAMD64)
	for i, at := range []int64{10, 14} {
		if c := batches[i].Contexts; len(c) != 1 || c[0] != (threadtrace.Context{Time: at, TraceID: trace, ParentID: span}) {
			t.Errorf("thread %d worked on %+v", batches[i].ThreadID, c)
		}
	}
}

func TestWhichStacksTellOfTheApplication(t *testing.T) {
	for name, tc := range map[string]struct {
		frame threadtrace.Frame
		want  bool
	}{
		"a function":          {threadtrace.Frame{Function: "serve", Module: "server"}, true},
		"an address":          {threadtrace.Frame{Function: "server+0x10", Module: "server"}, false},
		"a library's":         {threadtrace.Frame{Function: "read", Module: "libc.so.6", Origin: threadtrace.OriginLibrary}, false},
		"an interpreter's":    {threadtrace.Frame{Function: "execute_ex", Module: "php-fpm8.2"}, false},
		"a function of PHP's": {threadtrace.Frame{Function: "related", Module: "article.php"}, true},
	} {
		if got := Named(&threadtrace.Stack{Frames: []threadtrace.Frame{tc.frame}}); got != tc.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// busy is a batch of n samples, of which some have a name of the application's.
func busy(from int64, n, names int) *threadtrace.Batch {
	b := &threadtrace.Batch{Stacks: []threadtrace.Stack{
		{Frames: []threadtrace.Frame{{Function: "f", Module: "m.py"}}},
		{Frames: []threadtrace.Frame{{Function: "_PyEval_EvalFrameDefault", Module: "python3.11", Origin: threadtrace.OriginRuntime}}},
	}}
	for i := range n {
		e := threadtrace.Event{Time: from + int64(i), Kind: threadtrace.KindSample, Stack: 2}
		if i < names {
			e.Stack = 1
		}
		b.Events = append(b.Events, e)
	}
	return b
}

func TestTheSourceThatNamesMoreCounts(t *testing.T) {
	for name, tc := range map[string]struct {
		own, ownNamed, profiles, profilesNamed int
		want                                   bool
	}{
		"only profiles have names":       {100, 0, 30, 30, true},
		"both have":                      {100, 95, 30, 30, false},
		"only the receiver has":          {100, 100, 30, 0, false},
		"neither has":                    {100, 0, 30, 0, false},
		"too few to tell":                {100, 0, enough - 1, enough - 1, false},
		"the receiver takes none at all": {0, 0, 30, 30, true},
	} {
		var c Choice
		c.Own(busy(1, tc.own, tc.ownNamed))
		c.Profile(busy(1, tc.profiles, tc.profilesNamed))
		if c.Profiles != tc.want {
			t.Errorf("%s: profiles %v", name, c.Profiles)
		}
	}
}

func TestTheReceiversSamplesCountAgainWhenProfilesEnd(t *testing.T) {
	var c Choice
	c.Own(busy(1, 100, 0))
	c.Profile(busy(1, 100, 100))
	c.Own(busy(silent/2, 1000, 0))
	if !c.Profiles {
		t.Fatal("they have not ended yet")
	}
	c.Own(busy(2*silent, 5, 0))
	if c.Profiles {
		t.Error("they have ended")
	}
	c.Profile(busy(2*silent, enough-1, enough-1))
	if c.Profiles {
		t.Error("what they named before says nothing of now")
	}
	c.Profile(busy(2*silent, 1, 1))
	if !c.Profiles {
		t.Error("they are back")
	}
	// A service that does nothing has no samples of either.
	c = Choice{}
	c.Profile(busy(1, 100, 100))
	c.Own(busy(5*silent, 3, 0))
	if !c.Profiles {
		t.Error("three samples do not tell that a source has ended")
	}
}

func TestRemove(t *testing.T) {
	b := busy(1, 10, 3)
	if n := Remove(b, func(e *threadtrace.Event) bool { return e.Stack == 1 }); n != 3 || len(b.Events) != 7 {
		t.Errorf("%d removed, %d left", n, len(b.Events))
	}
}
