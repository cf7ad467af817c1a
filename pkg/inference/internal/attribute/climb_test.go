package attribute

import (
	"slices"
	"testing"

	"github.com/perfscope/perfscope/internal/frames"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// scale is that of sixty hops with a sample every 4 ms.
var scale = Scale{Grain: 4e6, Hops: 60, Load: 1}

// The caller that decides takes the place of a callee that does what it is told.
func TestWhoDecidesIsFirst(t *testing.T) {
	type seen struct {
		stack             string
		now, past, excess float64
	}
	for _, tc := range []struct {
		name string
		seen []seen
		want string
	}{
		{
			"a helper that others use as ever yields to the caller that uses it more",
			[]seen{
				{"copy_all dump handle loop main", 500e6, 0, 500e6},
				{"copy_all reply serve loop main", 60e6, 60e6, 0},
				{"dump handle loop main", 30e6, 0, 30e6},
				{"parse serve loop main", 60e6, 60e6, 0},
			}, "dump",
		},
		{
			"a caller that loops has new time of its own",
			[]seen{
				{"get next scan handle loop main", 400e6, 50e6, 350e6},
				{"scan handle loop main", 80e6, 10e6, 70e6},
				{"parse handle loop main", 60e6, 60e6, 0},
			}, "scan",
		},
		{
			"a function that takes longer by itself is first",
			[]seen{
				{"parse handle loop main", 400e6, 60e6, 340e6},
				{"reply handle loop main", 60e6, 60e6, 0},
				{"handle loop main", 10e6, 10e6, 0},
			}, "parse",
		},
		{
			"a helper that takes longer is first, where its caller does no more beside it",
			[]seen{
				{"reserve render export loop main", 400e6, 2e6, 398e6},
				{"reserve reply serve loop main", 4e6, 4e6, 0},
				{"render export loop main", 60e6, 60e6, 0},
				{"reply serve loop main", 60e6, 60e6, 0},
			}, "reserve",
		},
		{
			"who tries again is new, and costs nothing itself",
			[]seen{
				{"ask retry handle loop main", 400e6, 0, 400e6},
				{"ask serve loop main", 40e6, 40e6, 0},
				{"parse serve loop main", 60e6, 60e6, 0},
			}, "retry",
		},
		{
			"what decides has all that it does grow alike, also through what others call",
			[]seen{
				{"decode fetch in_group search loop main", 300e6, 10e6, 290e6},
				{"compare in_group search loop main", 200e6, 8e6, 192e6},
				{"fetch read_entry search loop main", 20e6, 20e6, 0},
				{"filter search loop main", 80e6, 80e6, 0},
			}, "in_group",
		},
		{
			"who passes two kinds of work on does not decide because one of them is new",
			[]seen{
				{"scan insert subscribe parse loop main", 250e6, 0, 250e6},
				{"scan_all remove unsubscribe parse loop main", 200e6, 0, 200e6},
				{"deliver publish parse loop main", 70e6, 70e6, 0},
				{"flush loop main", 60e6, 60e6, 0},
			}, "scan",
		},
		{
			"two samples more are no growth",
			[]seen{
				{"match route dispatch loop main", 400e6, 60e6, 340e6},
				{"log dispatch loop main", 6e6, 1e6, 5e6},
				{"reply loop main", 60e6, 60e6, 0},
			}, "match",
		},
		{
			"of code that is all new the innermost is first",
			[]seen{
				{"hash rehash grow handle loop main", 400e6, 0, 400e6},
				{"parse handle loop main", 60e6, 60e6, 0},
			}, "hash",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			stacks := frames.NewTable()
			var times []Time
			for _, s := range tc.seen {
				times = append(times, Time{Stack: stacks.Intern(stack(s.stack)), Kind: EvidenceOnCPU, Now: s.now, Past: s.past, Excess: s.excess, Beyond: s.excess})
			}
			got := Rank(stacks, times, scale, 10)
			if len(got) == 0 || got[0].Function != tc.want {
				t.Errorf("%v, want %s first", names(got), tc.want)
			}
			for i := 1; i < len(got); i++ {
				if got[i].Score > got[i-1].Score {
					t.Errorf("the scores are out of order: %v", got)
				}
			}
		})
	}
}

// To queue costs CPU time, too: who waits for what is done below it does not decide for
// its time to have grown alike.
func TestWhoWaitsForACalleeDoesNotDecide(t *testing.T) {
	stacks := frames.NewTable()
	at := func(s string, now, past float64) Time {
		return Time{Stack: stacks.Intern(stack(s)), Kind: EvidenceOnCPU, Now: now, Past: past, Excess: now - past, Beyond: now - past}
	}
	times := []Time{
		at("flush commit handle loop main", 200e6, 20e6),
		at("@futex commit handle loop main", 60e6, 6e6),
		at("parse handle loop main", 60e6, 60e6),
	}
	commit, _ := stacks.Lookup("commit", "server")
	for _, c := range []struct {
		waiters []int32
		want    string
	}{{nil, "commit"}, {[]int32{commit}, "flush"}} {
		s := scale
		s.Waiters = c.waiters
		if got := Rank(stacks, times, s, 10); got[0].Function != c.want {
			t.Errorf("waiters %v: %s is first, not %s: %+v", c.waiters, got[0].Function, c.want, got)
		}
	}
}

// Others have lock_relation compute as ever; only the one below open waits.
func TestWhoComputesInAFunctionDoesNotDecideThatItWaits(t *testing.T) {
	stacks := frames.NewTable()
	at := func(s string, kind Evidence, now, past float64) Time {
		return Time{Stack: stacks.Intern(stack(s)), Kind: kind, Now: now, Past: past, Excess: now - past, Beyond: now - past}
	}
	times := []Time{
		at("sleep lock_relation open query loop main", EvidenceBlocked, 900e6, 0),
		at("lock_relation plan query loop main", EvidenceOnCPU, 20e6, 20e6),
		at("open query loop main", EvidenceOnCPU, 20e6, 20e6),
	}
	got := Rank(stacks, times, scale, 10)
	if got[0].Function != "sleep" {
		t.Errorf("%s is first, not sleep: %+v", got[0].Function, got)
	}
}

// A lock that others take, too, is held now: who takes it as often as ever has decided
// nothing, who takes it ten times as often has.
func TestWhoCallsAsOftenAsEverDoesNotDecideThatItTakesLonger(t *testing.T) {
	for now, want := range map[float64]string{2: "take_lock", 40: "save"} {
		stacks := frames.NewTable()
		calls := func(s string, now, past float64) Time {
			return Time{Stack: stacks.Intern(stack(s)), Kind: EvidenceSyscall, Now: now, Past: past}
		}
		times := []Time{
			{Stack: stacks.Intern(stack("@fcntl take_lock save append loop main")), Kind: EvidenceBlocked, Now: 900e6, Excess: 900e6, Beyond: 900e6},
			calls("@fcntl take_lock save append loop main", now, 4),
			calls("@fcntl take_lock read loop main", 40, 40),
		}
		if got := Rank(stacks, times, scale, 10); got[0].Function != want {
			t.Errorf("%v calls a second: %s is first, not %s: %+v", now, got[0].Function, want, got)
		}
	}
}

// A caller that queues beside what it calls does no more of its own.
func TestToWaitIsNoOtherWork(t *testing.T) {
	stacks := frames.NewTable()
	at := func(s string, kind Evidence, now, past float64) Time {
		return Time{Stack: stacks.Intern(stack(s)), Kind: kind, Now: now, Past: past, Excess: now - past, Beyond: now - past}
	}
	times := []Time{
		at("export serve main", EvidenceOnCPU, 300e6, 10e6),
		at("serve main", EvidenceOnCPU, 10e6, 10e6),
		at("@futex serve main", EvidenceBlocked, 900e6, 0),
	}
	times[2].Excess = 0 // the others explain it
	if got := Rank(stacks, times, scale, 10); got[0].Function != "export" {
		t.Errorf("%+v", got)
	}
}

// Where the old code calls the new is worth naming: it is second, before those that it
// only passes on to.
func TestTheEntryOfNewCodeIsSecond(t *testing.T) {
	stacks := frames.NewTable()
	times := []Time{
		{Stack: stacks.Intern(stack("hash rehash grow compact handle loop main")), Kind: EvidenceOnCPU, Now: 140e6, Excess: 140e6},
		{Stack: stacks.Intern(stack("mix hash rehash grow compact handle loop main")), Kind: EvidenceOnCPU, Now: 300e6, Excess: 300e6},
		{Stack: stacks.Intern(stack("free grow compact handle loop main")), Kind: EvidenceOnCPU, Now: 40e6, Excess: 40e6},
		{Stack: stacks.Intern(stack("parse handle loop main")), Kind: EvidenceOnCPU, Now: 60e6, Past: 60e6},
	}
	got := Rank(stacks, times, scale, 10)
	if len(got) < 5 || !slices.Equal(names(got)[:5], []string{"hash", "compact", "grow", "mix", "rehash"}) {
		t.Errorf("%v", names(got))
	}
}

// The function in which a pool's threads start is on their idle stacks, too: it is no
// new code.
func TestWhatIsOnIdleStacksIsNoNewCode(t *testing.T) {
	stacks := frames.NewTable()
	times := []Time{
		{Stack: stacks.Intern(stack("@poll probe ask serve worker")), Kind: EvidenceBlocked, Now: 400e6, Excess: 400e6, Beyond: 400e6},
		{Stack: stacks.Intern(stack("@epoll_wait sleep serve worker")), Kind: EvidenceBlocked, Now: 500e6, Past: 950e6, Idle: true},
	}
	got := Rank(stacks, times, scale, 10)
	if len(got) < 2 || got[0].Function != "probe" || got[1].Function != "ask" {
		t.Errorf("%v", names(got))
	}
}

// To try again is the decision of who makes the call that fails.
func TestWhoTriesAgainStaysFirst(t *testing.T) {
	stacks := frames.NewTable()
	times := []Time{
		{Stack: stacks.Intern(stack("@sendto write_all copy")), Kind: EvidenceOnCPU, Now: 560e6, Excess: 560e6},
		{Stack: stacks.Intern(stack("@sendto write_all reply serve loop main")), Kind: EvidenceOnCPU, Now: 60e6, Past: 60e6},
		{Stack: stacks.Intern(stack("@sendto write_all copy")), Kind: EvidenceSyscall, Now: 9e5, Excess: 250e6, Failing: true},
		// What others wait for makes that no less sure.
		{Stack: stacks.Intern(stack("@read ask_peer serve loop main")), Kind: EvidenceBlocked, Now: 900e6, Past: 100e6, Excess: 800e6},
	}
	for i := range times[:3] {
		times[i].Beyond = times[i].Excess
	}
	if got := Rank(stacks, times, scale, 10); len(got) == 0 || got[0].Function != "write_all" {
		t.Errorf("%v", names(got))
	}
}

// A function that a compiler had made part of its caller has no past: neither did it
// not exist, nor did others call what it calls.
func TestCompiledCodeMayHaveBeenThereWithoutAFrame(t *testing.T) {
	compiled := func(functions string) *threadtrace.Stack {
		s := stack(functions)
		for i := range s.Frames {
			if s.Frames[i].Module == "server" {
				s.Frames[i].Module = "[jit]"
			}
		}
		return s
	}
	stacks := frames.NewTable()
	times := []Time{
		{Stack: stacks.Intern(compiled("@pthread_cond_wait shop.Labels.draw shop.Api.label net.Http.answer net.Http.run")), Kind: EvidenceBlocked, Now: 900e6, Excess: 900e6},
		{Stack: stacks.Intern(compiled("shop.Labels.draw shop.Api.label net.Http.run")), Kind: EvidenceOnCPU, Past: 60e6},
		{Stack: stacks.Intern(compiled("@write shop.Labels.draw shop.Api.label net.Http.run")), Kind: EvidenceSyscall, Past: 40},
		{Stack: stacks.Intern(compiled("net.Http.read net.Http.run")), Kind: EvidenceOnCPU, Now: 20e6, Past: 20e6},
	}
	got := Rank(stacks, times, scale, 10)
	stands := func(s Suspect) bool { return s.Function == "net.Http.answer" && s.Score > 0.1 }
	if len(got) == 0 || got[0].Function != "shop.Labels.draw" || slices.ContainsFunc(got, stands) {
		t.Errorf("%+v", got)
	}
}

// One function that waits now in this call, now in that, as its callers have it, says nothing
// of why: the caller through which most of the waiting comes does. One that waits in the same
// call for all of them is named.
func TestWhoSaysInWhichCallToWaitIsFirst(t *testing.T) {
	const open, rename = 2, 82
	for _, tc := range []struct {
		name    string
		other   int32
		through float64
		want    string
	}{
		{"different calls", open, 60e6, "move_file"},
		{"different calls, many of them of another caller", open, 500e6, "move_file"},
		{"the same call", rename, 60e6, "do_work"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			stacks := frames.NewTable()
			times := []Time{
				{Stack: stacks.Intern(stack("@rename do_work move_file save handle loop main")), Kind: EvidenceBlocked, Call: rename, Now: 800e6, Excess: 800e6},
				{Stack: stacks.Intern(stack("@open do_work open_file save handle loop main")), Kind: EvidenceBlocked, Call: tc.other, Now: tc.through, Excess: tc.through},
				{Stack: stacks.Intern(stack("parse handle loop main")), Kind: EvidenceOnCPU, Now: 60e6, Past: 60e6},
			}
			if got := Rank(stacks, times, scale, 10); len(got) == 0 || got[0].Function != tc.want {
				t.Errorf("%v, want %s first", names(got), tc.want)
			}
		})
	}
}

// Slow requests and fast ones run the same code: a helper that only slow ones come to did not
// become slower, whatever the fast ones spend in other parts of the program.
func TestWhereSlowRequestsPartFromFastOnesIsFirst(t *testing.T) {
	type seen struct {
		stack     string
		kind      Evidence
		now, past float64
	}
	page := seen{"page show handle loop main", EvidenceOnCPU, 10e6, 20e6}
	usual := seen{"page handle loop main", EvidenceOnCPU, 0, 40e6}
	for _, tc := range []struct {
		name   string
		beside bool
		seen   []seen
		want   string
	}{
		{"a way of its own", true, []seen{{"ask fetch show handle loop main", EvidenceBlocked, 900e6, 0}, page, usual}, "fetch"},
		{"some of it seems to be the fast ones'", true, []seen{{"ask fetch show handle loop main", EvidenceBlocked, 900e6, 8e6}, page, usual}, "fetch"},
		{"the code may have become slower", false, []seen{{"ask fetch show handle loop main", EvidenceBlocked, 900e6, 0}, page, usual}, "ask"},
		{"fast ones ask, too", true, []seen{{"ask fetch show handle loop main", EvidenceBlocked, 900e6, 60e6}, page, usual}, "ask"},
		{"it computes", true, []seen{{"ask fetch show handle loop main", EvidenceOnCPU, 900e6, 0}, page, usual}, "ask"},
		{"two callers have a part each", true, []seen{
			{"ask fetch show handle loop main", EvidenceBlocked, 500e6, 0}, {"ask list show handle loop main", EvidenceBlocked, 400e6, 0}, page, usual,
		}, "ask"},
		{"no part of the program leads to both", true, []seen{{"ask fetch entry", EvidenceBlocked, 900e6, 0}, usual}, "ask"},
		{"fast ones were hardly seen", true, []seen{{"ask fetch show handle loop main", EvidenceBlocked, 900e6, 0}, {"page show handle loop main", EvidenceOnCPU, 10e6, 0.1e6}}, "ask"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			stacks := frames.NewTable()
			var times []Time
			for _, x := range tc.seen {
				times = append(times, Time{Stack: stacks.Intern(stack(x.stack)), Kind: x.kind, Now: x.now, Past: x.past, Excess: max(0, x.now-x.past), Beyond: max(0, x.now-x.past)})
			}
			s := scale
			s.Beside = tc.beside
			if got := Rank(stacks, times, s, 10); len(got) == 0 || got[0].Function != tc.want {
				t.Errorf("%v, want %s first", names(got), tc.want)
			}
		})
	}
}

// A cursor by which several functions of a search read did not become slower beside fast requests,
// nor did any of those: the search does more of all. In code of two times the cursor may have.
func TestWhatSeveralCallIsAskedForWhereTheyMeet(t *testing.T) {
	for _, tc := range []struct {
		name   string
		beside bool
		filter float64 // of slow requests, 4e6 of fast ones
		want   string
	}{
		{"all grew", true, 120e6, "search"},
		{"the rest did not", true, 4e6, "read_cursor"},
		{"the rest grew little", true, 8e6, "read_cursor"},
		{"another time", false, 120e6, "read_cursor"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			stacks := frames.NewTable()
			at := func(s string, now, past float64) Time {
				return Time{Stack: stacks.Intern(stack(s)), Kind: EvidenceOnCPU, Now: now, Past: past, Excess: max(0, now-past), Beyond: max(0, now-past)}
			}
			times := []Time{
				at("read_cursor read_entry search serve loop main", 300e6, 1e6),
				at("read_cursor read_name search serve loop main", 300e6, 1e6),
				at("filter search serve loop main", tc.filter, 4e6),
				at("parse serve loop main", 40e6, 40e6),
			}
			s := scale
			s.Beside = tc.beside
			if got := Rank(stacks, times, s, 10); len(got) == 0 || got[0].Function != tc.want {
				t.Errorf("%v, want %s first", names(got), tc.want)
			}
		})
	}
}

// Several functions with names do what one without a name has them do: each has less than
// that one, and says more.
func TestTheNamesBelowAnAddressAreFirst(t *testing.T) {
	for _, tc := range []struct {
		name, caller string
		own          float64
		want         string
	}{
		{"of the same module", "server+0x40", 0, "sort"},
		{"a plugin's says more by its module", "rules.so+0x40", 0, "rules.so+0x40"},
		{"it does most by itself", "server+0x40", 700e6, "server+0x40"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			stacks := frames.NewTable()
			times := []Time{
				{Stack: stacks.Intern(stack("sort " + tc.caller + " server+0x10 run main")), Kind: EvidenceOnCPU, Now: 320e6, Excess: 320e6},
				{Stack: stacks.Intern(stack("put " + tc.caller + " server+0x10 run main")), Kind: EvidenceOnCPU, Now: 300e6, Excess: 300e6},
				{Stack: stacks.Intern(stack("get " + tc.caller + " server+0x10 run main")), Kind: EvidenceOnCPU, Now: 280e6, Excess: 280e6},
				{Stack: stacks.Intern(stack(tc.caller + " server+0x10 run main")), Kind: EvidenceOnCPU, Now: tc.own, Excess: tc.own},
				{Stack: stacks.Intern(stack("scan server+0x10 run main")), Kind: EvidenceOnCPU, Now: 60e6, Past: 60e6},
			}
			if got := Rank(stacks, times, scale, 10); len(got) == 0 || got[0].Function != tc.want {
				t.Errorf("%+v, want %s first", got, tc.want)
			}
		})
	}
}
