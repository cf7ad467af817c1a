package frames

import (
	"fmt"
	"strings"
	"testing"

	"github.com/perfscope/perfscope/pkg/threadtrace"
)

func stack(functions string) *threadtrace.Stack {
	s := &threadtrace.Stack{}
	for _, f := range strings.Fields(functions) {
		frame := threadtrace.Frame{Function: f, Module: "server"}
		if name, ok := strings.CutPrefix(f, "@"); ok {
			frame = threadtrace.Frame{Function: name, Module: "libc.so.6", Origin: threadtrace.OriginLibrary}
		}
		s.Frames = append(s.Frames, frame)
	}
	return s
}

func TestStacksAreBounded(t *testing.T) {
	stacks := NewTable()
	for i := range 3 * MaxStacks {
		stacks.Intern(stack(fmt.Sprintf("f%d g%d main", i%100, i)))
	}
	if stacks.Len() > 2*MaxStacks {
		t.Errorf("%d stacks are kept", stacks.Len())
	}
	var deep strings.Builder
	for i := range 3 * maxFrames {
		fmt.Fprintf(&deep, " d%d", i)
	}
	fresh := NewTable()
	if id := fresh.Intern(stack(deep.String())); len(fresh.Get(id).Frames) != maxFrames {
		t.Errorf("of a deep stack %d functions are kept", len(fresh.Get(id).Frames))
	}
}

func TestALockIsAPrimitiveAroundTheWait(t *testing.T) {
	stacks := NewTable()
	for text, lock := range map[string]bool{
		"@__lll_lock_wait @pthread_mutex_lock update main": true,
		"@futex_wait @pthread_cond_wait take main":         false,
		"update @pthread_mutex_lock main":                  false,
		"@park @ObjectMonitor::enter update main":          true,
	} {
		if got := stacks.Get(stacks.Intern(stack(text))).Lock; got != lock {
			t.Errorf("%q: lock is %v", text, got)
		}
	}
}

func TestTheSamePlaceWithNamesMissing(t *testing.T) {
	stacks := NewTable()
	interpreted := func(text string, more ...threadtrace.Frame) uint32 {
		s := stack(text)
		s.Frames = append(s.Frames, more...)
		return stacks.Intern(s)
	}
	interpreter := threadtrace.Frame{Function: "Interpreter", Module: "[jit]", Origin: threadtrace.OriginRuntime}
	few := stacks.Get(interpreted("take run", interpreter))
	many := stacks.Get(interpreted("take poll work run"))
	other := stacks.Get(interpreted("take poll lock_table run"))
	bare := stacks.Get(interpreted("take run"))
	if !few.Same(many) || !many.Same(few) {
		t.Error("a place is another once its functions are compiled")
	}
	if many.Same(other) || many.Same(bare) {
		t.Error("two places are the same although nothing is missing")
	}
	// A compiler makes take a part of poll: its name is gone.
	if inlined := stacks.Get(interpreted("poll run", interpreter)); !inlined.Same(many) {
		t.Error("a place is another once its innermost function is compiled into its caller")
	} else if many.Same(inlined) {
		t.Error("a wait in a function that was not there before is the same place")
	}
}

func TestThePlaceOfAProgramWithoutNames(t *testing.T) {
	stacks := NewTable()
	nameless := func(modules ...string) uint32 {
		s := &threadtrace.Stack{}
		for _, m := range modules {
			s.Frames = append(s.Frames, threadtrace.Frame{Module: m, Origin: threadtrace.OriginUnknown})
		}
		return stacks.Intern(s)
	}
	named := stacks.Intern(stack("take poll run")) // of the module server
	for name, tc := range map[string]struct {
		now  uint32
		same bool
	}{
		"its symbols are being read": {nameless("server", "server"), true},
		"another program":            {nameless("[jit]", "server"), false},
		"another place":              {stacks.Intern(stack("give poll run")), false},
		"no stack":                   {0, false},
	} {
		if got := stacks.Same(tc.now, named); got != tc.same {
			t.Errorf("%s: the same place: %v", name, got)
		}
	}
	if stacks.Same(named, nameless("server")) {
		t.Error("a place that has names now is one that had none")
	}
}

func TestALibraryIsTheOneThatIsCalled(t *testing.T) {
	library := threadtrace.OriginLibrary
	of := func(frames ...threadtrace.Frame) int32 {
		stacks := NewTable()
		known := stacks.Intern(&threadtrace.Stack{Frames: []threadtrace.Frame{{Function: "net/http.(*Transport).dial", Module: "server", Origin: library}}})
		if stacks.Get(known).Library != 1 {
			t.Fatal("a goroutine of net/http belongs to no library")
		}
		return stacks.Get(stacks.Intern(&threadtrace.Stack{Frames: frames})).Library
	}
	app := threadtrace.Frame{Function: "shop.Ask", Module: "server", Origin: threadtrace.OriginApplication}
	for name, c := range map[string]struct {
		frames []threadtrace.Frame
		want   int32 // 1 is net/http, 2 another, 0 none
	}{
		"the same, called":          {[]threadtrace.Frame{{Function: "net.(*conn).Read", Module: "server", Origin: library}, {Function: "net/http.(*Client).Do", Module: "server", Origin: library}, app}, 1},
		"a shared library":          {[]threadtrace.Frame{{Function: "rd_kafka_poll", Module: "librdkafka.so.1", Origin: library}}, 2},
		"the C library":             {[]threadtrace.Frame{{Function: "memcpy", Module: "libc.so.6", Origin: library}, app}, 0},
		"what calls the program":    {[]threadtrace.Frame{app, {Function: "net/http.(*conn).serve", Module: "server", Origin: library}}, 0},
		"a virtual machine's":       {[]threadtrace.Frame{{Function: "java.lang.Thread.run", Module: "[jit]", Origin: library}}, 0},
		"a C function in a program": {[]threadtrace.Frame{{Function: "inflate", Module: "server", Origin: library}, app}, 0},
	} {
		if got := of(c.frames...); got != c.want {
			t.Errorf("%s: library %d, want %d", name, got, c.want)
		}
	}
}

// What has no application code on a stack is the doing of its libraries and runtimes,
// with their functions for suspects.
func TestLibrariesSpeakWhereTheApplicationDoesNot(t *testing.T) {
	shared := func(name string) threadtrace.Frame {
		return threadtrace.Frame{Function: name, Module: "libdns.so", Origin: threadtrace.OriginLibrary}
	}
	libc := threadtrace.Frame{Function: "fsync", Module: "libc.so.6", Origin: threadtrace.OriginLibrary}
	app := threadtrace.Frame{Function: "serve", Module: "named", Origin: threadtrace.OriginApplication}
	goroutine := threadtrace.Frame{Function: "net/http.(*Transport).dial", Module: "server", Origin: threadtrace.OriginLibrary}
	for name, tc := range map[string]struct {
		stack threadtrace.Stack
		want  string
	}{
		"a library's thread":      {threadtrace.Stack{Complete: true, Frames: []threadtrace.Frame{libc, shared("commit"), shared("write"), shared("commit")}}, "commit write"},
		"called by the program":   {threadtrace.Stack{Complete: true, Frames: []threadtrace.Frame{libc, shared("commit"), app}}, "serve"},
		"the caller is not known": {threadtrace.Stack{Frames: []threadtrace.Frame{libc, shared("commit")}}, "commit"},
		"the C library's":         {threadtrace.Stack{Complete: true, Frames: []threadtrace.Frame{libc}}, ""},
		"a package of Go's":       {threadtrace.Stack{Complete: true, Frames: []threadtrace.Frame{goroutine}}, "net/http.(*Transport).dial"},
	} {
		stacks := NewTable()
		st := stacks.Get(stacks.Intern(&tc.stack))
		var got []string
		for _, f := range st.Frames {
			got = append(got, stacks.Function(f).Name)
		}
		if strings.Join(got, " ") != tc.want {
			t.Errorf("%s: %v, want %q", name, got, tc.want)
		}
	}
}

// Who calls the program's own fdatasync is the better place to look.
func TestAWrapperIsNamedForTheWaitItCalls(t *testing.T) {
	for _, tc := range []struct {
		function, callee string
		want             bool
	}{
		{"my_sync", "fdatasync", true},
		{"Utility::usleep(unsigned long)", "__nanosleep", true},
		{"isc_stdio_sync", "fsync", true},
		{"Interruptible_wait::wait", "pthread_cond_timedwait", true},
		{"flushAppendOnlyFile", "fdatasync", false},
		{"pg_sleep", "epoll_wait", false},
		{"flush_async", "fsync", false},
		{"Synchroniser::run", "fsync", false},
		{"server.(*Store).Sync", "os.(*File).Sync", false}, // a method of the application's
	} {
		if got := wraps(tc.function, tc.callee); got != tc.want {
			t.Errorf("%s that calls %s: %v", tc.function, tc.callee, got)
		}
	}
}

// Who decided to wait is known when one function without a name is between, not with two.
func TestAWrapperHasACallerWithAName(t *testing.T) {
	for text, want := range map[string]bool{
		"@fdatasync my_sync write_log commit":               true,
		"@fdatasync my_sync server+0x10 commit":             true,
		"@fdatasync my_sync server+0x10 server+0x20 commit": false,
		"@fdatasync my_sync":                                false,
		"@fdatasync write_log commit":                       false,
	} {
		for origin, name := range map[threadtrace.Origin]string{threadtrace.OriginApplication: "the program's", threadtrace.OriginLibrary: "libraries'"} {
			stacks, s := NewTable(), stack(text)
			for i := range s.Frames[1:] {
				s.Frames[1+i].Origin = origin
			}
			if got := stacks.Get(stacks.Intern(s)).Wrapper; got != want {
				t.Errorf("%s, %s: %v", text, name, got)
			}
		}
	}
}

func TestSpinningForALockIsALock(t *testing.T) {
	stacks := NewTable()
	for text, want := range map[string][2]bool{
		"@sched_yield take_lock main":           {true, true},
		"@pthread_mutex_trylock take_lock main": {true, true},
		"@pthread_spin_lock take_lock main":     {true, true},
		"@pthread_mutex_lock take_lock main":    {true, false},
		"@memcpy copy main":                     {false, false},
		"copy @sched_yield main":                {false, false},
	} {
		if s := stacks.Get(stacks.Intern(stack(text))); s.Lock != want[0] || s.Spin != want[1] {
			t.Errorf("%s: lock %v, spins %v", text, s.Lock, s.Spin)
		}
	}
}

func TestAStackOfARuntimeAloneIsTheRuntimes(t *testing.T) {
	runtime := threadtrace.Frame{Function: "gcDrain", Module: "server", Origin: threadtrace.OriginRuntime}
	library := threadtrace.Frame{Function: "inflate", Module: "libz.so.1", Origin: threadtrace.OriginLibrary}
	app := threadtrace.Frame{Function: "serve", Module: "server"}
	nowhere := threadtrace.Frame{Function: "server+0x12", Module: "server", Origin: threadtrace.OriginUnknown}
	for name, tc := range map[string]struct {
		frames  []threadtrace.Frame
		want    string
		tier    Tier
		runtime bool
	}{
		"its collector":         {[]threadtrace.Frame{runtime}, "gcDrain", Platform, true},
		"called by a library":   {[]threadtrace.Frame{runtime, library}, "gcDrain", Platform, false},
		"called by the program": {[]threadtrace.Frame{runtime, app}, "serve", Application, false},
		"code without any name": {[]threadtrace.Frame{nowhere}, "server+0x?", Platform, true},
	} {
		stacks := NewTable()
		s := stacks.Get(stacks.Intern(&threadtrace.Stack{Frames: tc.frames}))
		if len(s.Frames) == 0 || stacks.Function(s.Frames[0]).Name != tc.want || s.Tier != tc.tier || s.Runtime != tc.runtime {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

// Keys that join numbers as text take [C1, i0] and [C, 1944] for one.
func TestNoTwoStacksHaveOneKey(t *testing.T) {
	stacks := NewTable()
	name := func(i int) string { return fmt.Sprint("f", i) }
	seen := map[uint32]string{}
	check := func(functions ...string) {
		text := strings.Join(functions, " ")
		id := stacks.Intern(stack(text))
		if was, ok := seen[id]; ok {
			t.Fatalf("%q and %q are one stack", was, text)
		}
		seen[id] = text
		for i, f := range stacks.Get(id).Frames {
			if stacks.Function(f).Name != functions[i] {
				t.Fatalf("%q became %v", text, stacks.Get(id).Frames)
			}
		}
	}
	for i := range 2000 {
		check(name(i))
	}
	for i := range 36 {
		for j := range 36 {
			if i != j {
				check(name(i), name(j))
			}
		}
		check(name(36+i), name(1940+i), name(i))
	}
}

func TestAStackIsToldApartByAllItTells(t *testing.T) {
	stacks := NewTable()
	ids := map[uint32]string{}
	for _, text := range []string{"update main", "@pthread_mutex_lock update main", "@sched_yield update main", "@memcpy update main"} {
		id := stacks.Intern(stack(text))
		if was, ok := ids[id]; ok {
			t.Errorf("%q is %q", text, was)
		}
		ids[id] = text
	}
	functions := []Function{{Name: "update", Module: "server"}, {Name: "main", Module: "server"}}
	sure, unsure := stacks.Infer(functions, 0.1), stacks.Infer(functions, 0.5)
	if sure == unsure || stacks.Get(sure).Doubt != 0.1 || stacks.Get(unsure).Doubt != 0.5 || stacks.Infer(functions, 0.1) != sure {
		t.Errorf("the doubt of the first sticks: %v, %v", stacks.Get(sure).Doubt, stacks.Get(unsure).Doubt)
	}
	if _, ok := ids[sure]; ok || !stacks.Get(sure).Inferred {
		t.Error("what was told by calls is a stack that was seen")
	}
	if stacks.Infer(nil, 0) != 0 || stacks.Intern(&threadtrace.Stack{}) != 0 {
		t.Error("nothing is a stack")
	}
}

func TestInlinedCodeStandsForWhatHoldsIt(t *testing.T) {
	stacks := NewTable()
	s := stack("min clamp serve main")
	s.Frames[0].Inlined, s.Frames[1].Inlined = true, true
	if got := stacks.Intern(s); got != stacks.Intern(stack("serve main")) {
		t.Errorf("%+v", stacks.Get(got))
	}
}

// TestFunctionsAreBoundedInBytes: names that come over the network may be long, and
// each different.
func TestFunctionsAreBoundedInBytes(t *testing.T) {
	table := NewTable()
	pad := strings.Repeat("F", 600)
	for i := range 20_000 {
		name := fmt.Sprint(i, pad)
		table.Intern(&threadtrace.Stack{Frames: []threadtrace.Frame{{Function: name, Module: pad, Origin: threadtrace.OriginApplication}}})
	}
	if n := table.FunctionBytes(); n > maxNames {
		t.Errorf("%d bytes", n)
	}
	last := table.functions[len(table.functions)-1]
	if !last.Nameless() || len(table.functions)*functionSize > maxNames {
		t.Errorf("%d functions, the last is %q", len(table.functions), last.Name)
	}
	if name := table.Function(0).Name; len(name) > 512 || !strings.HasPrefix(name, "0F") {
		t.Errorf("a name of %d bytes", len(name))
	}
}

func TestTheMakerOfAClosure(t *testing.T) {
	for name, maker := range map[string]string{
		"main.list.func1":                                    "main.list",
		"main.(*server).handle.func2.1":                      "main.(*server).handle",
		"github.com/go-redis/redis/v8.(*c).with.func2":       "github.com/go-redis/redis/v8.(*c).with",
		"net/http.(*Server).Serve.gowrap3":                   "net/http.(*Server).Serve",
		"observatory::main::{{closure}}":                     "observatory::main",
		"main.list":                                          "",
		"main.func1x":                                        "",
		"main.functions":                                     "",
		"github.com/go-redis/redis/v8.(*baseClient).process": "",
	} {
		if got := (Function{Name: name}).Maker(); got != maker {
			t.Errorf("%s: %q", name, got)
		}
	}
}
