package suspect

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/perfscope/perfscope/internal/syscalltrace"
)

func stack(functions string) *syscalltrace.Stack {
	s := &syscalltrace.Stack{}
	for _, f := range strings.Fields(functions) {
		frame := syscalltrace.Frame{Function: f, Module: "server"}
		if name, ok := strings.CutPrefix(f, "@"); ok {
			frame = syscalltrace.Frame{Function: name, Module: "libc.so.6", Origin: syscalltrace.OriginLibrary}
		}
		s.Frames = append(s.Frames, frame)
	}
	return s
}

func names(suspects []Suspect) []string {
	var n []string
	for _, s := range suspects {
		n = append(n, s.Function)
	}
	return n
}

func TestRank(t *testing.T) {
	type seen struct {
		stack             string
		kind              Evidence
		now, past, excess float64
		failing           bool
	}
	for _, tc := range []struct {
		name string
		seen []seen
		want []string
	}{
		{
			"the library's time is its caller's, the common callers explain nothing",
			[]seen{
				{"@memcpy copy handle loop main", EvidenceOnCPU, 80, 0, 80, false},
				{"parse handle loop main", EvidenceOnCPU, 20, 20, 0, false},
			},
			[]string{"copy"},
		},
		{
			"one strong kind is enough",
			[]seen{
				{"@fdatasync flush tick loop main", EvidenceBlocked, 700, 0, 700, false},
				{"@epoll_wait poll loop main", EvidenceBlocked, 200, 950, 0, false},
				{"parse handle loop main", EvidenceOnCPU, 21, 20, 1, false},
			},
			[]string{"flush", "tick"},
		},
		{
			"kinds add up",
			[]seen{
				{"spin loop main", EvidenceOnCPU, 50, 0, 50, false},
				{"log loop main", EvidenceOnCPU, 51, 0, 51, false},
				{"poll loop main", EvidenceOnCPU, 10, 10, 0, false},
				{"@accept spin loop main", EvidenceSyscall, 1000, 0, 20, false},
				{"@read serve loop main", EvidenceSyscall, 100, 100, 0, false},
			},
			[]string{"spin", "log"},
		},
		{
			"who tries again makes the loop, though it served others well",
			[]seen{
				{"@sendto write_all copy", EvidenceOnCPU, 560, 0, 500, false},
				{"@sendto write_all reply serve loop main", EvidenceOnCPU, 60, 60, 0, false},
				{"@sendto write_all copy", EvidenceSyscall, 900000, 0, 250, true},
				{"@sendto write_all reply serve loop main", EvidenceSyscall, 50, 50, 0, false},
			},
			[]string{"write_all", "copy"},
		},
		{
			"who does what it is told is not who tells it",
			[]seen{
				{"@sendto write_all pieces", EvidenceSyscall, 900000, 0, 250, false},
				{"@sendto write_all reply serve loop main", EvidenceSyscall, 50, 50, 0, false},
			},
			[]string{"pieces"},
		},
		{
			"two slow branches meet in the interpreter, which is on every stack",
			[]seen{
				{"open_session session_start interpret main", EvidenceBlocked, 60, 0, 60, false},
				{"fill_buffer read_stream read_url interpret main", EvidenceBlocked, 40, 0, 40, false},
				{"concat interpret main", EvidenceOnCPU, 30, 30, 0, false},
			},
			[]string{"open_session", "session_start"},
		},
		{"no excess, no suspects", []seen{{"parse main", EvidenceOnCPU, 10, 5, 0, false}}, nil},
		{"code of libraries alone has no suspects", []seen{{"@malloc @start", EvidenceOnCPU, 10, 0, 10, false}}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			stacks := NewStacks()
			var times []StackTime
			for _, s := range tc.seen {
				times = append(times, StackTime{Stack: stacks.Intern(stack(s.stack)), Kind: s.kind, Now: s.now, Past: s.past, Excess: s.excess, Failing: s.failing})
			}
			got := Rank(stacks, times, 2)
			if !slices.Equal(names(got), tc.want) {
				t.Errorf("ranked %v, want %v", got, tc.want)
			}
			for i, s := range got {
				if s.Score < 0 || s.Score > 1 || i > 0 && s.Score > got[i-1].Score {
					t.Errorf("scores out of order or bounds: %v", got)
				}
			}
		})
	}
}

// Threads that wait for work make what the others wait for no less sure: the
// callers of a sync keep their part however large the idle pool is.
func TestIdleThreadsHideNoCaller(t *testing.T) {
	for _, idle := range []float64{0, 1e9, 40e9} {
		stacks := NewStacks()
		times := []StackTime{
			{Stack: stacks.Intern(stack("@fdatasync write_out flush_log commit serve worker")), Kind: EvidenceBlocked, Now: 80e6, Excess: 80e6},
			{Stack: stacks.Intern(stack("@read ask_peer serve worker")), Kind: EvidenceBlocked, Now: 20e6, Past: 20e6},
			{Stack: stacks.Intern(stack("@pthread_cond_wait take worker")), Kind: EvidenceBlocked, Now: idle, Past: idle, Idle: true},
		}
		got := Rank(stacks, times, 3)
		if !slices.Equal(names(got), []string{"write_out", "flush_log", "commit"}) || got[1].Score < 0.6 {
			t.Errorf("with %.0f s/s of idle waits: %+v", idle/1e9, got)
		}
	}
}

func TestPathTo(t *testing.T) {
	stacks := NewStacks()
	times := []StackTime{
		{Stack: stacks.Intern(stack("flush tick loop main")), Excess: 5},
		{Stack: stacks.Intern(stack("flush exit main")), Excess: 1},
	}
	if got := PathTo(stacks, times, Suspect{Function: "tick", Module: "server"}); !slices.Equal(got, []string{"main", "loop", "tick"}) {
		t.Errorf("path %v", got)
	}
}

func TestANameIsABetterPlaceThanAnAddress(t *testing.T) {
	stacks := NewStacks()
	times := []StackTime{
		{Stack: stacks.Intern(stack("server+0x40 server+0x10 open_file serve server+0x90 main")), Kind: EvidenceOnCPU, Now: 10, Excess: 10},
		{Stack: stacks.Intern(stack("serve server+0x90 main")), Kind: EvidenceOnCPU, Past: 1},
	}
	var names []string
	for _, s := range Rank(stacks, times, 3) {
		names = append(names, s.Function)
	}
	if want := []string{"open_file", "server+0x40", "server+0x10"}; !slices.Equal(names, want) {
		t.Errorf("ranked %v, want %v", names, want)
	}
	// A program without any symbols is ranked by its addresses.
	bare := []StackTime{{Stack: stacks.Intern(stack("server+0x40 server+0x10")), Kind: EvidenceOnCPU, Now: 10, Excess: 10}}
	if got := Rank(stacks, bare, 3); len(got) != 2 || got[0].Function != "server+0x40" {
		t.Errorf("without names: %+v", got)
	}
}

func TestStacksAreBounded(t *testing.T) {
	stacks := NewStacks()
	for i := range 3 * MaxStacks {
		stacks.Intern(stack(fmt.Sprintf("f%d g%d main", i%100, i)))
	}
	if stacks.Len() > 2*MaxStacks {
		t.Errorf("%d stacks are kept", stacks.Len())
	}
	deep := strings.Repeat("a b c ", 100)
	if id := stacks.Intern(stack("z " + deep)); len(stacks.Get(id).Frames) > maxFrames {
		t.Error("a deep stack is kept whole")
	}
}

func TestLockPrimitives(t *testing.T) {
	stacks := NewStacks()
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
	stacks := NewStacks()
	interpreted := func(text string, more ...syscalltrace.Frame) uint32 {
		s := stack(text)
		s.Frames = append(s.Frames, more...)
		return stacks.Intern(s)
	}
	interpreter := syscalltrace.Frame{Function: "Interpreter", Module: "[jit]", Origin: syscalltrace.OriginRuntime}
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

func TestPatterns(t *testing.T) {
	classes := syscalltrace.NewClasses("amd64")
	nr := func(name string) int32 {
		n, ok := syscalltrace.Number("amd64", name)
		if !ok {
			t.Fatalf("no call %q", name)
		}
		return n
	}
	waits := func(name string) Doing {
		return Doing{Waiting: 10, ByCall: map[int32]float64{nr(name): 9, nr("write"): 1}}
	}
	with := func(d Doing, change func(*Doing)) Doing { change(&d); return d }
	rate := func(name string, errno int32, past, now, mean float64) CallRate {
		return CallRate{Number: nr(name), Errno: errno, Now: now, Past: past, Mean: mean}
	}
	read := func(n float64) CallRate {
		return CallRate{Number: nr("read"), Now: n, Past: n, BytesNow: 100 * n, BytesPast: 100 * n}
	}
	for _, tc := range []struct {
		want string
		f    Features
	}{
		{PatternSyncWrite, Features{Doing: waits("fdatasync")}},
		{PatternLockWait, Features{Doing: with(waits("futex"), func(d *Doing) { d.Lock = 8 })}},
		{PatternLockWait, Features{Doing: with(waits("flock"), func(d *Doing) { d.Stuck = 8 })}},
		{PatternSleepInRequest, Features{Doing: with(waits("clock_nanosleep"), func(d *Doing) { d.CPU = 1 })}},
		{PatternStuckCall, Features{Doing: with(waits("read"), func(d *Doing) { d.Stuck = 8 })}},
		{PatternBlockedIO, Features{Doing: waits("connect")}},
		{PatternLongComputation, Features{Doing: Doing{CPU: 9}, CPUOutsideCalls: 8.5}},
		{PatternBusyFailingCall, Features{Doing: Doing{CPU: 9}, CPUOutsideCalls: 3, Calls: []CallRate{rate("accept4", 11, 0, 5e4, 900), rate("epoll_wait", 0, 100, 5e4, 900)}}},
		{PatternPollWithoutSleep, Features{Doing: Doing{CPU: 9}, CPUOutsideCalls: 3, Calls: []CallRate{rate("epoll_wait", 0, 100, 1e5, 900)}}},
		{PatternConnectionChurn, Features{Doing: Doing{CPU: 9}, Calls: []CallRate{rate("connect", 115, 1, 4000, 9000), rate("close", 0, 10, 4000, 900), rate("socket", 0, 10, 4000, 900)}}},
		// A runtime sets five options on each.
		{PatternConnectionChurn, Features{Doing: Doing{CPU: 9}, Calls: []CallRate{
			rate("connect", 115, 0, 450, 2e4), rate("socket", 0, 0, 450, 9000), rate("setsockopt", 0, 1, 2250, 400),
			rate("epoll_ctl", 0, 0, 900, 2000), rate("getpeername", 0, 0, 450, 300), rate("close", 0, 60, 510, 9000),
		}}},
		{"", Features{Doing: Doing{CPU: 9}, Calls: []CallRate{rate("connect", 0, 0, 30, 2e4), rate("getsockname", 0, 10, 5000, 900)}}},
		{PatternMemoryMapChurn, Features{Doing: Doing{CPU: 1e8}, Calls: []CallRate{rate("mmap", 0, 1, 4000, 9000), rate("munmap", 0, 10, 4000, 900)}}},
		// A runtime gives memory back now and then; its calls take a hundredth.
		{PatternLongComputation, Features{Doing: Doing{CPU: 8e7}, CPUOutsideCalls: 7e7, Calls: []CallRate{rate("madvise", 0, 60, 1000, 1000)}}},
		{PatternTinyIO, Features{Doing: Doing{CPU: 9}, Calls: []CallRate{{Number: nr("read"), Now: 1e5, Past: 100, BytesNow: 1e5, BytesPast: 1e5}}}},
		{PatternDescriptorExhaustion, Features{Doing: Doing{CPU: 9}, Calls: []CallRate{rate("accept", 24, 0, 1000, 900)}}},
		{PatternSleepInRequest, Features{Doing: waits("epoll_wait"), TimedOut: map[int32]float64{nr("epoll_wait"): 0.8}}},
		{PatternBlockedIO, Features{Doing: waits("poll"), TimedOut: map[int32]float64{nr("poll"): 0.1}}},
		// Threads at a condition, amid work.
		{PatternLockWait, Features{Doing: waits("futex")}},
		{PatternSleepInRequest, Features{Doing: waits("futex"), TimedOut: map[int32]float64{nr("futex"): 0.9}}},
		{PatternStuckCall, Features{Doing: with(waits("futex"), func(d *Doing) { d.Stuck = 8 }), TimedOut: map[int32]float64{nr("futex"): 0.2}}},
		{PatternPeerUnreachable, Features{OnlyRefusals: true, Calls: []CallRate{rate("connect", 111, 0, 8, 900)}}},
		// Each request that is read finds no peer; or tries one after the other.
		{PatternPeerUnreachable, Features{OnlyRefusals: true, Calls: []CallRate{rate("connect", 115, 0, 80, 900), rate("connect", 111, 0, 80, 900), read(80)}}},
		{PatternConnectionChurn, Features{OnlyRefusals: true, Calls: []CallRate{rate("connect", 115, 0, 800, 900), rate("connect", 111, 0, 800, 900), read(80)}}},
		{PatternConnectionChurn, Features{OnlyRefusals: true, Calls: []CallRate{rate("connect", 111, 0, 800, 900), read(80)}}},
		{PatternResourceExhaustion, Features{OnlyRefusals: true, Calls: []CallRate{rate("mmap", 12, 0, 8, 900)}}},
		{PatternDescriptorExhaustion, Features{OnlyRefusals: true, Calls: []CallRate{rate("accept", 24, 0, 8, 900)}}},
		{"", Features{}},
		{PatternTinyIO, Features{Doing: Doing{CPU: 9}, Calls: []CallRate{rate("stat", 0, 10, 5000, 900)}}},
		{"", Features{Doing: Doing{CPU: 9}, Calls: []CallRate{rate("getsockname", 0, 10, 5000, 900)}}},
	} {
		t.Run(tc.want, func(t *testing.T) {
			tc.f.Classes = classes
			if got := tc.f.Name(); got != tc.want {
				t.Errorf("pattern %q, want %q", got, tc.want)
			}
		})
	}
}

func TestSummary(t *testing.T) {
	a := Anomaly{
		Impact: 0.62, Pattern: PatternSyncWrite, Suspects: []Suspect{{Function: "flush", Module: "server"}},
		Deviations: []Deviation{{Call: "fdatasync", Normal: Figures{RatePerSecond: 1}, Abnormal: Figures{RatePerSecond: 2900}}},
	}
	const want = "flush (server) is the first suspect: 62 % of its active time is beyond its past, spent waiting in fdatasync; it waits for storage on every operation; fdatasync went from 1.0 to 2900 per second."
	if got := Summarise(&a, Cause{Waited: "fdatasync"}); got != want {
		t.Errorf("summary\n%s\nwant\n%s", got, want)
	}
}

func TestLibraryOf(t *testing.T) {
	library := syscalltrace.OriginLibrary
	of := func(frames ...syscalltrace.Frame) int32 {
		stacks := NewStacks()
		known := stacks.Intern(&syscalltrace.Stack{Frames: []syscalltrace.Frame{{Function: "net/http.(*Transport).dial", Module: "server", Origin: library}}})
		if stacks.Get(known).Library != 1 {
			t.Fatal("a goroutine of net/http belongs to no library")
		}
		return stacks.Get(stacks.Intern(&syscalltrace.Stack{Frames: frames})).Library
	}
	app := syscalltrace.Frame{Function: "shop.Ask", Module: "server", Origin: syscalltrace.OriginApplication}
	for name, c := range map[string]struct {
		frames []syscalltrace.Frame
		want   int32 // 1 is net/http, 2 another, 0 none
	}{
		"the same, called":          {[]syscalltrace.Frame{{Function: "net.(*conn).Read", Module: "server", Origin: library}, {Function: "net/http.(*Client).Do", Module: "server", Origin: library}, app}, 1},
		"a shared library":          {[]syscalltrace.Frame{{Function: "rd_kafka_poll", Module: "librdkafka.so.1", Origin: library}}, 2},
		"the C library":             {[]syscalltrace.Frame{{Function: "memcpy", Module: "libc.so.6", Origin: library}, app}, 0},
		"what calls the program":    {[]syscalltrace.Frame{app, {Function: "net/http.(*conn).serve", Module: "server", Origin: library}}, 0},
		"a virtual machine's":       {[]syscalltrace.Frame{{Function: "java.lang.Thread.run", Module: "[jit]", Origin: library}}, 0},
		"a C function in a program": {[]syscalltrace.Frame{{Function: "inflate", Module: "server", Origin: library}, app}, 0},
	} {
		if got := of(c.frames...); got != c.want {
			t.Errorf("%s: library %d, want %d", name, got, c.want)
		}
	}
}

// TestLibrariesOfAThinMain: what has no application code on a whole stack is a
// shared library's own doing, with its functions for suspects.
func TestLibrariesOfAThinMain(t *testing.T) {
	shared := func(name string) syscalltrace.Frame {
		return syscalltrace.Frame{Function: name, Module: "libdns.so", Origin: syscalltrace.OriginLibrary}
	}
	libc := syscalltrace.Frame{Function: "fsync", Module: "libc.so.6", Origin: syscalltrace.OriginLibrary}
	app := syscalltrace.Frame{Function: "serve", Module: "named", Origin: syscalltrace.OriginApplication}
	goroutine := syscalltrace.Frame{Function: "net/http.(*Transport).dial", Module: "server", Origin: syscalltrace.OriginLibrary}
	for name, tc := range map[string]struct {
		stack syscalltrace.Stack
		want  string
	}{
		"a library's thread":      {syscalltrace.Stack{Complete: true, Frames: []syscalltrace.Frame{libc, shared("commit"), shared("write"), shared("commit")}}, "commit write"},
		"called by the program":   {syscalltrace.Stack{Complete: true, Frames: []syscalltrace.Frame{libc, shared("commit"), app}}, "serve"},
		"the caller is not known": {syscalltrace.Stack{Frames: []syscalltrace.Frame{libc, shared("commit")}}, ""},
		"the C library's":         {syscalltrace.Stack{Complete: true, Frames: []syscalltrace.Frame{libc}}, ""},
		"a package of Go's":       {syscalltrace.Stack{Complete: true, Frames: []syscalltrace.Frame{goroutine}}, ""},
	} {
		stacks := NewStacks()
		st := stacks.Get(stacks.Intern(&tc.stack))
		var got []string
		for _, f := range st.Frames {
			got = append(got, stacks.Function(f).Name)
		}
		if strings.Join(got, " ") != tc.want {
			t.Errorf("%s: %v, want %q", name, got, tc.want)
		}
		if own := name == "a library's thread"; own && st.Library != 0 {
			t.Errorf("%s belongs to library %d, too", name, st.Library)
		}
	}
}

// TestWrappers: who calls the program's own fdatasync is the better place to look.
func TestWrappers(t *testing.T) {
	for _, tc := range []struct {
		function, callee string
		want             bool
	}{
		{"my_sync", "fdatasync", true},
		{"Utility::usleep(unsigned long)", "__nanosleep", true},
		{"isc_stdio_sync", "fsync", true},
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
	stacks := NewStacks()
	called := func(functions string) uint32 {
		s := stack(functions)
		s.Frames = append([]syscalltrace.Frame{{Function: "fdatasync", Module: "libc.so.6", Origin: syscalltrace.OriginLibrary}}, s.Frames...)
		return stacks.Intern(s)
	}
	ranked := Rank(stacks, []StackTime{{Stack: called("my_sync write_log commit"), Kind: EvidenceBlocked, Now: 5e8, Excess: 5e8}}, 10)
	if len(ranked) != 3 || ranked[0].Function != "write_log" || ranked[1].Function != "my_sync" {
		t.Errorf("%+v", ranked)
	}
	if ranked = Rank(stacks, []StackTime{{Stack: called("my_sync"), Kind: EvidenceBlocked, Now: 5e8, Excess: 5e8}}, 10); len(ranked) != 1 || ranked[0].Score < 0.9 {
		t.Errorf("without a caller: %+v", ranked)
	}
}

// TestFunctionsWithoutANameAreSteps: who is eleven frames away is not answerable as
// who is next to the wait.
func TestFunctionsWithoutANameAreSteps(t *testing.T) {
	stacks := NewStacks()
	unnamed := syscalltrace.Frame{Function: "Interpreter", Module: "[jit]", Origin: syscalltrace.OriginUnknown}
	far := stack("doIO")
	for range 6 {
		far.Frames = slices.Insert(far.Frames, 0, unnamed)
	}
	near := stack("addWatch")
	near.Frames = append(near.Frames, unnamed, unnamed) // callers are no steps
	ranked := Rank(stacks, []StackTime{
		{Stack: stacks.Intern(far), Kind: EvidenceBlocked, Now: 6e8, Excess: 6e8},
		{Stack: stacks.Intern(near), Kind: EvidenceBlocked, Now: 4e8, Excess: 4e8},
	}, 10)
	if len(ranked) != 2 || ranked[0].Function != "addWatch" {
		t.Errorf("%+v", ranked)
	}
}
