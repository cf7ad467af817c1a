package signature

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// randomFile has functions told by random episodes over a few calls.
func randomFile(r *rand.Rand, functions, letters int) *File {
	f := &File{Program: Program{Executable: "/usr/bin/server", Arch: arch}, Calls: 1_000_000, Sequences: 1000}
	for i := range functions {
		fn := Function{Name: fmt.Sprintf("f%04d", i), Module: "server", Calls: 1 + r.Uint64N(1000), Beneath: r.Uint64N(3000)}
		fn.Invocations = 1 + r.Uint64N(fn.Calls)
		seen := map[string]bool{}
		for range 1 + r.IntN(4) {
			var e Episode
			for s, c := range randomCalls(r, 1+r.IntN(MaxSteps), letters) {
				if r.IntN(8) == 0 {
					c |= 11 // EAGAIN
				}
				e = append(e, Step{Call: c, Gap: s > 0 && r.IntN(2) == 0})
			}
			if !seen[e.key()] {
				seen[e.key()] = true
				total := 20 + r.Uint64N(1000)
				fn.Signatures = append(fn.Signatures, Signature{Episode: e, Right: total - r.Uint64N(2), Total: total})
			}
		}
		slices.SortFunc(fn.Signatures, func(a, b Signature) int { return a.Episode.Compare(b.Episode) })
		f.Functions = append(f.Functions, fn)
	}
	return f
}

func event(s Symbol) threadtrace.Event {
	return threadtrace.Event{Kind: threadtrace.KindCall, Number: int32(s >> errnoBits), Return: ret(s)}
}

// The automaton gives what trying every way gives, also when it forgets its
// states meanwhile.
func TestMatcherFindsWhatIsThere(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	const letters = 5 // read … fstat: short ones are no idle waits
	for round := range 40 {
		f := randomFile(r, 1+r.IntN(30), letters)
		m := NewMatcher(f)
		for range 20 {
			calls := randomCalls(r, 1+r.IntN(maxSequence), letters)
			for i := range calls {
				if r.IntN(8) == 0 {
					calls[i] |= 11
				}
			}
			var th Thread
			for at, c := range calls {
				if round%4 == 3 && at == 0 {
					m.auto.reset()
				}
				e := event(c)
				match := m.Next(&th, &e)
				got := map[int]bool{}
				if match != nil {
					for _, n := range match.Stack {
						got[n.Function] = true
					}
					if w := match.Stack[match.Best].Weight; slices.ContainsFunc(match.Stack, func(n Named) bool { return n.Weight > w }) {
						t.Fatalf("%+v: there is a better one", match)
					}
				}
				for i := range f.Functions {
					want := slices.ContainsFunc(f.Functions[i].Signatures, func(s Signature) bool {
						return naive(calls[:at+1], s.Episode)>>at&1 == 1
					})
					if got[i] != want {
						t.Fatalf("%s at call %d of %v: %v, not %v", f.Functions[i].Name, at, calls, got[i], want)
					}
				}
			}
		}
	}
}

// What Mine counts is what a Matcher meets in the same calls.
func TestMinerAndMatcherAgree(t *testing.T) {
	tr := requests(t, 1, 2000, rand.New(rand.NewPCG(2, 2)))
	f := mine(nil, tr)
	m := NewMatcher(f)
	var th Thread
	right, wrong := map[string]int{}, 0
	for i := range tr.Events {
		match := m.Next(&th, &tr.Events[i])
		if match == nil {
			continue
		}
		name := f.Functions[match.Stack[match.Best].Function].Name
		if slices.ContainsFunc(tr.Stacks[tr.Events[i].Stack-1].Frames, func(fr threadtrace.Frame) bool { return fr.Function == name }) {
			right[name]++
		} else {
			wrong++
		}
	}
	if wrong > len(tr.Events)/50 || right["save"] < 400 || right["receive"] < 1900 || right["lookup"] < 1500 {
		t.Errorf("right: %v, wrong: %d of %d calls", right, wrong, len(tr.Events))
	}
}

func TestInnermostFunctionsComeFirst(t *testing.T) {
	f := mine(nil, requests(t, 1, 1000, rand.New(rand.NewPCG(3, 2))), func() *trace {
		tr := newTrace(t, 2)
		for range 1000 {
			tr.do("main loop", "epoll_wait")
			tr.do("main loop cron rotate rename", "rename")
		}
		return tr
	}())
	m := NewMatcher(f)
	var th Thread
	e := call(t, "rename", 0)
	match := m.Next(&th, &e)
	if match == nil {
		t.Fatal("rename tells nothing")
	}
	var got []string
	for _, n := range match.Stack {
		got = append(got, f.Functions[n.Function].Name)
	}
	if !slices.Equal(got, []string{"rename", "rotate", "cron"}) || match.Best != 0 {
		t.Errorf("%q, the best is %d", got, match.Best)
	}
}

func TestAWaitBeginsASequence(t *testing.T) {
	read, wait := event(0), call(t, "epoll_wait", 0)
	f := &File{Program: Program{Arch: arch}, Calls: 1000, Functions: []Function{{Name: "f", Calls: 10, Signatures: []Signature{
		{Episode: Episode{{Call: 0}, {Call: 0, Gap: true}}, Right: 100, Total: 100},
	}}}}
	m := NewMatcher(f)
	var th Thread
	for i, e := range []threadtrace.Event{read, wait, read, read} {
		if got := m.Next(&th, &e); (got != nil) != (i == 3) {
			t.Errorf("event %d tells %v", i, got)
		}
	}
	th = Thread{}
	if m.Next(&th, &read) != nil {
		t.Error("a call of before is remembered")
	}
	if NewMatcher(f).Next(&th, &read) != nil {
		t.Error("a call that another matcher was given is remembered")
	}
	th = Thread{}
	// A thread that never waits.
	for i := range 3 * maxSequence {
		e := read
		if got := m.Next(&th, &e); (got != nil) != (i%maxSequence != 0) {
			t.Fatalf("call %d tells %v", i, got)
		}
	}
}

func TestTheAutomatonIsBounded(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	f := randomFile(r, 2000, 100)
	m := NewMatcher(f)
	var th Thread
	for range 200_000 {
		e := event(Symbol(r.IntN(100)) << errnoBits)
		m.Next(&th, &e)
		if m.States() > maxStates || m.auto.held > maxHeld+len(m.auto.nodes) {
			t.Fatalf("%d states of %d nodes", m.States(), m.auto.held)
		}
	}
}
