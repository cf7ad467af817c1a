package signatures

import (
	"cmp"
	"maps"
	"slices"

	"github.com/perfscope/perfscope/internal/signature"
	"github.com/perfscope/perfscope/internal/unit"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// function is one of the program's, as stacks name it.
type function struct{ module, name string }

// current is the unit that a thread is in.
type current struct {
	place signature.Thread
	// ran has what was on the stack at its calls.
	ran map[function]bool
	// weight is that of the best match, right whether it was.
	weight float64
	right  bool
}

// trial counts.
type trial struct {
	file    *signature.File
	matcher *signature.Matcher
	classes *threadtrace.Classes
	threads map[int32]*current

	units, matched, right  int
	calls, told, toldRight int
	innermost              int
	unitsWith, callsWith   map[function]int
	confusions             map[Confusion]int
}

// judge matches calls, and compares what they tell with their stacks. The wait
// that a unit begins with is not asked for: which function waits for work is
// no question, and would be right always.
func judge(f *signature.File, test []*threadtrace.Batch) Row {
	t := &trial{
		file: f, matcher: signature.NewMatcher(f), classes: threadtrace.NewClasses(f.Arch), threads: map[int32]*current{},
		unitsWith: map[function]int{}, callsWith: map[function]int{}, confusions: map[Confusion]int{},
	}
	for _, b := range test {
		t.batch(b)
	}
	for _, th := range t.threads {
		t.end(th)
	}
	share := func(part, whole int) float64 { return float64(part) / float64(max(1, whole)) }
	row := Row{
		Functions: len(f.Functions),
		Precision: share(t.right, t.matched), Recall: share(t.right, t.units),
		CallPrecision: share(t.toldRight, t.told), CallRecall: share(t.toldRight, t.calls),
		Innermost: share(t.innermost, t.toldRight),
		Units:     t.units, Calls: t.calls,
	}
	for fn, n := range t.unitsWith {
		// The others may have no signature.
		if 2*t.callsWith[fn] < t.calls {
			row.Constant = max(row.Constant, share(n, t.units))
		}
	}
	row.Confusions = slices.SortedFunc(maps.Keys(t.confusions), func(a, b Confusion) int {
		return cmp.Or(cmp.Compare(t.confusions[b], t.confusions[a]), cmp.Compare(a.Told, b.Told), cmp.Compare(a.Really, b.Really))
	})
	row.Confusions = row.Confusions[:min(len(row.Confusions), maxConfusions)]
	for i := range row.Confusions {
		row.Confusions[i].Calls = t.confusions[row.Confusions[i]]
	}
	return row
}

func (t *trial) batch(b *threadtrace.Batch) {
	stacks := make([][]function, len(b.Stacks))
	for i := range b.Stacks {
		stacks[i] = functions(&b.Stacks[i])
	}
	th := t.threads[b.ThreadID]
	if th == nil {
		th = &current{ran: map[function]bool{}}
		t.threads[b.ThreadID] = th
	}
	for i := range b.Events {
		e := &b.Events[i]
		if e.Kind != threadtrace.KindCall {
			continue
		}
		match := t.matcher.Next(&th.place, e)
		if unit.Waits(t.classes.Of(e.Number), e.Duration) {
			t.end(th)
			continue
		}
		if e.Stack == 0 {
			continue // nobody knows
		}
		t.call(th, stacks[e.Stack-1], match)
	}
}

func (t *trial) call(th *current, stack []function, match *signature.Match) {
	if len(stack) > 0 {
		t.calls++
		for _, fn := range stack {
			th.ran[fn] = true
			t.callsWith[fn]++
		}
	}
	if match == nil {
		return
	}
	best := match.Stack[match.Best]
	fn := &t.file.Functions[best.Function]
	told := function{fn.Module, fn.Name}
	right := slices.Contains(stack, told)
	t.told++
	if right {
		t.toldRight++
		if stack[0] == told {
			t.innermost++
		}
	} else {
		really := "no function of the program"
		if len(stack) > 0 {
			really = stack[0].name
		}
		t.confusions[Confusion{Told: fn.Name, Really: really}]++
	}
	if best.Weight > th.weight {
		th.weight, th.right = best.Weight, right
	}
}

// end counts a unit.
func (t *trial) end(th *current) {
	if len(th.ran) > 0 {
		t.units++
		for fn := range th.ran {
			t.unitsWith[fn]++
		}
	}
	if th.weight > 0 {
		t.matched++
		if th.right {
			t.right++
		}
	}
	clear(th.ran)
	th.weight, th.right = 0, false
}

// functions are the program's on a stack, innermost first.
func functions(s *threadtrace.Stack) []function {
	var out []function
	for i := range s.Frames {
		f := &s.Frames[i]
		if f.Origin == threadtrace.OriginApplication && !f.Inlined {
			out = append(out, function{f.Module, f.Function})
		}
	}
	return out
}
