package inference

import (
	"slices"
	"strings"
	"testing"

	"github.com/perfscope/perfscope/internal/signature"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// saving has one function that a write followed by an fdatasync tells.
func saving(t *testing.T) *signature.File {
	t.Helper()
	e, err := signature.ParseEpisode(threadtrace.ArchAMD64, "write, fdatasync")
	if err != nil {
		t.Fatal(err)
	}
	read, err := signature.ParseEpisode(threadtrace.ArchAMD64, "read")
	if err != nil {
		t.Fatal(err)
	}
	return &signature.File{
		Program: signature.Program{Arch: threadtrace.ArchAMD64}, Calls: 10_000, Sequences: 4000,
		Functions: []signature.Function{
			{Name: "commit", Module: "server", Calls: 900, Invocations: 400, Beneath: 900, Signatures: []signature.Signature{{Episode: e, Right: 400, Total: 400}}},
			{Name: "receive", Module: "server", Calls: 3000, Invocations: 3000, Signatures: []signature.Signature{{Episode: read, Right: 3000, Total: 3000}}},
			{Name: "save", Module: "server", Calls: 800, Invocations: 400, Signatures: []signature.Signature{{Episode: e, Right: 400, Total: 400}}},
		},
	}
}

// requestCalls are the calls of a server that answers fifty requests a second, and saves
// every request when it is slow. None has a stack.
func requestCalls(at int64, slow bool) *threadtrace.Batch {
	number := func(name string) int32 {
		n, _ := threadtrace.Number(threadtrace.ArchAMD64, name)
		return n
	}
	b := &threadtrace.Batch{ThreadID: 7}
	end := at + 1e9
	for now := at; now < end; now += 20e6 {
		do := func(name string, after, took int64) {
			b.Events = append(b.Events, threadtrace.Event{Time: now + after, Duration: took, Number: number(name), Return: 100})
		}
		do("read", 0, 10e3)
		if slow {
			do("write", 50e3, 20e3)
			do("fdatasync", 100e3, 12e6)
			do("write", 12500e3, 20e3)
			do("epoll_wait", 13e6, 7e6-1e3)
		} else {
			do("write", 200e3, 20e3)
			do("epoll_wait", 300e3, 19e6)
		}
	}
	return b
}

func saved(t *testing.T, f *signature.File, stacks bool) []Anomaly {
	t.Helper()
	s := NewAnalyzer(DefaultConfig(), threadtrace.ArchAMD64)
	if f != nil {
		s.UseSignatures(signature.NewMatcher(f))
	}
	var found []Anomaly
	at := int64(1_700_000_000) * 1e9
	for i := range 80 {
		b := requestCalls(at, i >= 60)
		if stacks {
			b.Stacks = []threadtrace.Stack{{Complete: true, Frames: []threadtrace.Frame{
				{Function: "fdatasync", Module: "libc.so.6", Origin: threadtrace.OriginLibrary},
				{Function: "really", Module: "server"}, {Function: "main", Module: "server"},
			}}}
			for j := range b.Events {
				if name := threadtrace.Name(threadtrace.ArchAMD64, b.Events[j].Number); name == "fdatasync" && j%3 == 0 {
					b.Events[j].Stack = 1
				}
			}
		}
		s.AddBatch(b)
		s.AddCoverage(threadtrace.Coverage{Start: at, End: at + 1e9, Traced: 1e9, CPUTime: 30e6, Threads: 1})
		at += 1e9
		found = append(found, s.Advance(at-at%5e9)...)
	}
	return found
}

func TestSignaturesNameCallsWithoutStacks(t *testing.T) {
	found := saved(t, saving(t), false)
	if len(found) == 0 {
		t.Fatal("nothing was found")
	}
	a := found[0]
	if len(a.Suspects) < 2 || a.Suspects[0].Function != "save" || a.Suspects[1].Function != "commit" {
		t.Fatalf("the suspects are %+v", a.Suspects)
	}
	if got := a.Suspects[0].Evidence; !slices.Equal(got, []string{string(EvidenceSignature)}) {
		t.Errorf("the evidence is %q", got)
	}
	if !slices.Equal(a.Order, []string{"receive", "save"}) || !strings.Contains(a.Summary, "; it runs after receive.") {
		t.Errorf("the order is %q; %s", a.Order, a.Summary)
	}
	if !slices.Equal(a.Path, []string{"commit", "save"}) {
		t.Errorf("the path is %q", a.Path)
	}
	if found := saved(t, nil, false); len(found) > 0 && len(found[0].Suspects) > 0 {
		t.Errorf("without stacks and signatures %+v was named", found[0].Suspects)
	}
}

// Where there are stacks, at some calls, they are believed.
func TestStacksGoBeforeSignatures(t *testing.T) {
	with, without := saved(t, saving(t), true), saved(t, nil, true)
	if len(with) == 0 || len(with) != len(without) || with[0].Suspects[0].Function != "really" {
		t.Fatalf("%d anomalies with signatures, %d without: %+v", len(with), len(without), with)
	}
	for _, s := range with[0].Suspects {
		if s.Function == "save" {
			t.Errorf("%+v is a suspect beside stacks that say otherwise", s)
		}
	}
}
