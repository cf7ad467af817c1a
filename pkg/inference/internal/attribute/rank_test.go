package attribute

import (
	"slices"
	"strings"
	"testing"

	"github.com/perfscope/perfscope/internal/frames"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

func stack(functions string) *threadtrace.Stack {
	s := &threadtrace.Stack{}
	for _, f := range strings.Fields(functions) {
		frame := threadtrace.Frame{Function: f, Module: "server"}
		if module, _, plugin := strings.Cut(f, ".so+"); plugin {
			frame.Module = module + ".so"
		}
		if name, ok := strings.CutPrefix(f, "@"); ok {
			frame = threadtrace.Frame{Function: name, Module: "libc.so.6", Origin: threadtrace.OriginLibrary}
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

func TestAFunctionIsCreditedForWhatIsNew(t *testing.T) {
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
		{
			"what little was waited for before says nothing of what is usual",
			[]seen{
				{"@poll ask fetch show main", EvidenceBlocked, 560, 0, 560, false},
				{"@poll ask fetch show main", EvidenceBlocked, 0, 1, 0, false},
				{"seal show main", EvidenceOnCPU, 40, 40, 0, false},
			},
			[]string{"ask", "fetch"},
		},
		{"no excess, no suspects", []seen{{"parse main", EvidenceOnCPU, 10, 5, 0, false}}, nil},
		{"code of libraries alone has no suspects", []seen{{"@malloc @start", EvidenceOnCPU, 10, 0, 10, false}}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			stacks := frames.NewTable()
			var times []Time
			for _, s := range tc.seen {
				times = append(times, Time{Stack: stacks.Intern(stack(s.stack)), Kind: s.kind, Now: s.now, Past: s.past, Excess: s.excess, Failing: s.failing})
			}
			got := Rank(stacks, times, Scale{}, 2)
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
		stacks := frames.NewTable()
		times := []Time{
			{Stack: stacks.Intern(stack("@fdatasync write_out flush_log commit serve worker")), Kind: EvidenceBlocked, Now: 80e6, Excess: 80e6},
			{Stack: stacks.Intern(stack("@read ask_peer serve worker")), Kind: EvidenceBlocked, Now: 20e6, Past: 20e6},
			{Stack: stacks.Intern(stack("@pthread_cond_wait take worker")), Kind: EvidenceBlocked, Now: idle, Past: idle, Idle: true},
		}
		got := Rank(stacks, times, Scale{}, 3)
		if !slices.Equal(names(got), []string{"write_out", "flush_log", "commit"}) || got[1].Score < 0.6 {
			t.Errorf("with %.0f s/s of idle waits: %+v", idle/1e9, got)
		}
	}
}

func TestThePathIsTheOneWithMostOfTheExcess(t *testing.T) {
	stacks := frames.NewTable()
	times := []Time{
		{Stack: stacks.Intern(stack("flush tick loop main")), Excess: 5},
		{Stack: stacks.Intern(stack("flush exit main")), Excess: 1},
	}
	if got := PathTo(stacks, times, Suspect{Function: "tick", Module: "server"}); !slices.Equal(got, []string{"main", "loop", "tick"}) {
		t.Errorf("path %v", got)
	}
}

func TestANameIsABetterPlaceThanAnAddress(t *testing.T) {
	stacks := frames.NewTable()
	times := []Time{
		{Stack: stacks.Intern(stack("server+0x40 server+0x10 open_file serve server+0x90 main")), Kind: EvidenceOnCPU, Now: 10, Excess: 10},
		{Stack: stacks.Intern(stack("serve server+0x90 main")), Kind: EvidenceOnCPU, Past: 1},
	}
	var names []string
	for _, s := range Rank(stacks, times, Scale{}, 3) {
		names = append(names, s.Function)
	}
	if want := []string{"open_file", "server+0x40", "server+0x10"}; !slices.Equal(names, want) {
		t.Errorf("ranked %v, want %v", names, want)
	}
	// A name that leads to everything does not.
	whole := []Time{
		{Stack: stacks.Intern(stack("server+0x40 server+0x10 main")), Kind: EvidenceOnCPU, Now: 9, Past: 1, Excess: 8},
		{Stack: stacks.Intern(stack("server+0x10 main")), Kind: EvidenceOnCPU, Now: 1, Past: 1},
	}
	if got := Rank(stacks, whole, Scale{}, 3); len(got) == 0 || got[0].Function != "server+0x40" {
		t.Errorf("below main: %+v", got)
	}
	// Neither does one that is far away, unless they only wait.
	for kind, want := range map[Evidence]string{EvidenceOnCPU: "server+0x40", EvidenceBlocked: "commit"} {
		far := []Time{{Stack: stacks.Intern(stack("server+0x40 server+0x41 server+0x42 server+0x43 commit main")), Kind: kind, Now: 9, Excess: 9}}
		if got := Rank(stacks, far, Scale{}, 3); len(got) == 0 || got[0].Function != want {
			t.Errorf("far below a name, %s: %+v", kind, got)
		}
	}
	// The module of a plugin's function says more than the program that calls it.
	plugin := []Time{
		{Stack: stacks.Intern(stack("auth.so+0x40 run_hooks serve main")), Kind: EvidenceOnCPU, Now: 10, Excess: 10},
		{Stack: stacks.Intern(stack("serve main")), Kind: EvidenceOnCPU, Past: 1},
	}
	if got := Rank(stacks, plugin, Scale{}, 3); len(got) < 2 || got[0].Function != "auth.so+0x40" || got[1].Function != "run_hooks" {
		t.Errorf("in a plugin: %+v", got)
	}
	// A program without any symbols is ranked by its addresses.
	bare := []Time{{Stack: stacks.Intern(stack("server+0x40 server+0x10")), Kind: EvidenceOnCPU, Now: 10, Excess: 10}}
	if got := Rank(stacks, bare, Scale{}, 3); len(got) != 2 || got[0].Function != "server+0x40" {
		t.Errorf("without names: %+v", got)
	}
}

// What has no name between two that have one is a call as any other: of what several do for it
// the caller has no more than its distance gives it.
func TestAnAddressThatCallsANameIsACall(t *testing.T) {
	stacks := frames.NewTable()
	times := []Time{
		{Stack: stacks.Intern(stack("compare put_tuple server+0x40 server+0x10 run_plan main")), Kind: EvidenceOnCPU, Now: 4, Excess: 4},
		{Stack: stacks.Intern(stack("write_tape put_tuple server+0x40 server+0x10 run_plan main")), Kind: EvidenceOnCPU, Now: 3, Excess: 3},
		{Stack: stacks.Intern(stack("read_tape sort server+0x40 server+0x10 run_plan main")), Kind: EvidenceOnCPU, Now: 3, Excess: 3},
		{Stack: stacks.Intern(stack("plan main")), Kind: EvidenceOnCPU, Past: 1},
	}
	if got := Rank(stacks, times, Scale{}, 3); len(got) != 3 || got[0].Function != "put_tuple" {
		t.Errorf("%+v", got)
	}
}

// Who is eleven frames away is not answerable as
// who is next to the wait.
func TestFunctionsWithoutANameAreSteps(t *testing.T) {
	stacks := frames.NewTable()
	unnamed := threadtrace.Frame{Function: "Interpreter", Module: "[jit]", Origin: threadtrace.OriginUnknown}
	far := stack("doIO")
	for range 6 {
		far.Frames = slices.Insert(far.Frames, 0, unnamed)
	}
	near := stack("addWatch")
	near.Frames = append(near.Frames, unnamed, unnamed) // callers are no steps
	ranked := Rank(stacks, []Time{
		{Stack: stacks.Intern(far), Kind: EvidenceBlocked, Now: 6e8, Excess: 6e8},
		{Stack: stacks.Intern(near), Kind: EvidenceBlocked, Now: 4e8, Excess: 4e8},
	}, Scale{}, 10)
	if len(ranked) != 2 || ranked[0].Function != "addWatch" {
		t.Errorf("%+v", ranked)
	}
}

// Who calls the program's own fdatasync is the better place to look.
func TestAWrapperYieldsToItsCaller(t *testing.T) {
	stacks := frames.NewTable()
	called := func(functions string) uint32 {
		s := stack(functions)
		s.Frames = append([]threadtrace.Frame{{Function: "fdatasync", Module: "libc.so.6", Origin: threadtrace.OriginLibrary}}, s.Frames...)
		return stacks.Intern(s)
	}
	ranked := Rank(stacks, []Time{{Stack: called("my_sync write_log commit"), Kind: EvidenceBlocked, Now: 5e8, Excess: 5e8}}, Scale{}, 10)
	if len(ranked) != 3 || ranked[0].Function != "write_log" || ranked[1].Function != "my_sync" {
		t.Errorf("%+v", ranked)
	}
	if ranked = Rank(stacks, []Time{{Stack: called("my_sync"), Kind: EvidenceBlocked, Now: 5e8, Excess: 5e8}}, Scale{}, 10); len(ranked) != 1 || ranked[0].Score < 0.9 {
		t.Errorf("without a caller: %+v", ranked)
	}
	// An interpreter's loop is the caller of all that it runs.
	ranked = Rank(stacks, []Time{
		{Stack: called("pp_sync run main"), Kind: EvidenceBlocked, Now: 5e8, Excess: 5e8},
		{Stack: stacks.Intern(stack("add run main")), Kind: EvidenceOnCPU, Now: 1e8, Past: 1e8},
	}, Scale{}, 10)
	if ranked[0].Function != "pp_sync" {
		t.Errorf("below a loop: %+v", ranked)
	}
}

// The virtual machine's function without a name works for the compiled one that calls it; a
// plugin's says more by its module than the program that calls it.
func TestAVirtualMachineWorksForWhatItRuns(t *testing.T) {
	for module, want := range map[string]string{"[jit]": "gate", "server": "machine+0x40"} {
		stacks := frames.NewTable()
		id := stacks.Intern(&threadtrace.Stack{Frames: []threadtrace.Frame{
			{Function: "machine+0x40", Module: "machine"}, {Function: "gate", Module: module}, {Function: "loop", Module: module},
		}})
		got := Rank(stacks, []Time{{Stack: id, Kind: EvidenceOnCPU, Now: 5e8, Excess: 5e8}}, Scale{}, 10)
		if len(got) != 3 || got[0].Function != want {
			t.Errorf("called in %s: %+v", module, got)
		}
	}
}

// Who calls a library is as near as who is called there, however deep that is inside.
func TestAPackageIsOneCallAway(t *testing.T) {
	stacks := frames.NewTable()
	times := []Time{{
		Stack: stacks.Intern(stack("example.org/regexp.(*Prog).step example.org/regexp.(*Prog).run example.org/regexp.(*Prog).start example.org/db/labels.Match example.org/db.search")),
		Kind:  EvidenceOnCPU, Now: 5e8, Excess: 5e8,
	}}
	got := Rank(stacks, times, Scale{}, 10)
	score := map[string]float64{}
	for _, s := range got {
		score[s.Function] = s.Score
	}
	if score["example.org/db/labels.Match"] != score["example.org/regexp.(*Prog).run"] || score["example.org/db.search"] <= score["example.org/regexp.(*Prog).start"]-1e-6 {
		t.Errorf("%+v", got)
	}
}
