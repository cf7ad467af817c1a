package evidence

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/perfscope/perfscope/pkg/inference"
)

// fan is a fan of stacks with one sample each, and one that waits.
func fan(stacks int, name func(int) string) *inference.Profile {
	p := &inference.Profile{From: 0, To: 10e9, Hops: 2, Compared: true, Load: 1}
	for i := range stacks + 1 {
		p.Functions = append(p.Functions, inference.Function{Name: name(i), Module: strings.Repeat("m", 100)})
	}
	for i := range stacks {
		p.Samples = append(p.Samples, inference.Sample{Stack: []int32{int32(i + 1), 0}, Now: 1 / float64(stacks)})
	}
	p.Samples = append(p.Samples, inference.Sample{Stack: []int32{0}, Waiting: true, Call: "fsync", Lock: true, Now: 0.25, Normal: 0.05})
	return p
}

func TestATreeIsBounded(t *testing.T) {
	for _, stacks := range []int{1, 1500, 16384} {
		tree := treeOf(fan(stacks, func(i int) string { return fmt.Sprint(i) + strings.Repeat("template<>", 50) }))
		data, err := json.Marshal(tree)
		if err != nil {
			t.Fatal(err)
		}
		if len(data) > 700<<10 {
			t.Errorf("%d stacks: %d bytes", stacks, len(data))
		}
		if got := tree.Root.Now(); math.Abs(got-1.25) > 1e-6 {
			t.Errorf("%d stacks: the whole is %g", stacks, got)
		}
		if shown := len(tree.Root.Children[0].Children) - 1; (stacks <= 1500) != (shown == stacks) || shown+tree.Hidden != stacks {
			t.Errorf("of %d stacks %d are shown and %d hidden", stacks, shown, tree.Hidden)
		}
	}
}

func TestAWaitIsUnderWhoWaits(t *testing.T) {
	tree := treeOf(fan(1, func(i int) string { return fmt.Sprint("f", i) }))
	caller := tree.Root.Children[0]
	wait := caller.Children[len(caller.Children)-1]
	if caller.Name != "f0" || !wait.Call || wait.Name != "fsync (lock)" || wait.Wait != 0.25 || wait.NormalWait != 0.05 || wait.CPU != 0 {
		t.Errorf("%+v under %+v", wait, caller)
	}
}

func TestSuspectsComeFirst(t *testing.T) {
	p := fan(3, func(i int) string { return fmt.Sprint("f", i) })
	s := newStretch(p, &Anomaly{Suspects: []Suspect{{Function: "f2", Module: p.Functions[2].Module, Score: 0.7}, {Function: "gone"}}})
	if s.Functions[0].Name != "f2" || s.Functions[0].Rank != 1 || math.Abs(s.Functions[0].Share-1/3.75) > 1e-5 {
		t.Errorf("first: %+v", s.Functions[0])
	}
	if s.Functions[1].Name != "gone" || s.Functions[1].Share != 0 {
		t.Errorf("a suspect without stacks: %+v", s.Functions[1])
	}
	for _, f := range s.Functions[2:] {
		if f.Rank != 0 || f.Name == "f2" {
			t.Errorf("%+v", f)
		}
	}
}

func TestAnIDIsPartOfAnAddress(t *testing.T) {
	const uuid = "2f6b8a3e-4d1c-4a53-9a1b-0c8f5a1be2d9"
	if got := ID("redis", uuid, "key"); got != uuid {
		t.Error(got)
	}
	a, b := ID("a/../b c?<>", "1", "key1"), ID("a/../b c?<>", "1", "key2")
	if a == b || strings.IndexFunc(a, unsafe) >= 0 || !strings.HasPrefix(a, "a-..-b-c") {
		t.Errorf("%q, %q", a, b)
	}
	if got := ID(strings.Repeat("x", 500), "", ""); len(got) > 64 {
		t.Errorf("%d bytes", len(got))
	}
}
