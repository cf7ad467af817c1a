package inference

import (
	"fmt"
	"maps"

	"github.com/perfscope/perfscope/internal/explain"
	"github.com/perfscope/perfscope/pkg/inference/internal/attribute"
	"github.com/perfscope/perfscope/pkg/inference/internal/baseline"
	"github.com/perfscope/perfscope/pkg/inference/internal/chain"
	"github.com/perfscope/perfscope/pkg/inference/internal/criteria"
	"github.com/perfscope/perfscope/pkg/inference/internal/hop"
	"github.com/perfscope/perfscope/pkg/inference/thin"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// addWakings takes who ended the waits of a thread.
func (a *Analyzer) addWakings(b *threadtrace.Batch) {
	for i := range b.Wakings {
		w := b.Wakings[i]
		if a.classes.Is(w.Number, threadtrace.ClassSleep) {
			continue // time ends it, which is not told: who is told woke it before its time
		}
		w.Stack = a.numbered(b, w.Stack, threadtrace.KindBlocked)
		w.WakerStack = a.numbered(b, w.WakerStack, threadtrace.KindSample)
		a.hopAt(w.Time).Chains.Wake(b.ThreadID, &w)
	}
}

// numbered is the identifier of a stack of the batch at hand.
func (a *Analyzer) numbered(b *threadtrace.Batch, n uint32, kind threadtrace.Kind) uint32 {
	if n == 0 || int(n) > len(a.interned) {
		return 0
	}
	return a.identify(&b.Stacks[n-1], &a.interned[n-1], kind)
}

// addFlows takes what waits of an interval were spent on.
func (a *Analyzer) addFlows(h *hop.Open, i *thin.Interval) {
	node := func(n thin.Node) chain.Node {
		kind, out := threadtrace.KindSample, chain.Node{Kind: chain.Kind(n.Kind), Number: n.Number}
		if out.Kind == chain.Waits {
			kind = threadtrace.KindBlocked
		}
		out.Stack = a.stackOf(i, n.Stack, kind)
		if n.Name != 0 {
			out.Name = fmt.Sprintf("thread %d", n.Name)
		}
		return out
	}
	for j := range i.Flows {
		f := &i.Flows[j]
		h.AddFlow(chain.Flow{From: node(f.From), To: node(f.To)}, chain.Sum{Time: float64(f.Time), Waits: float64(f.MilliWaits) / 1000})
	}
}

// LinkKind is what is at a link of a chain of waits.
type LinkKind string

// The kinds of link.
const (
	// LinkWait is a wait for another thread, the next link.
	LinkWait LinkKind = "wait"
	// LinkCPU is computing.
	LinkCPU LinkKind = "cpu"
	// LinkDisk, LinkNetwork and LinkTimer are waits for no thread.
	LinkDisk    LinkKind = "disk"
	LinkNetwork LinkKind = "network"
	LinkTimer   LinkKind = "timer"
	// LinkKernel is a wait for a thread of the kernel.
	LinkKernel LinkKind = "kernel"
	// LinkProcess is a thread that is none of the service's.
	LinkProcess LinkKind = "process"
	// LinkUnknown is a thread of the service that was not seen to do anything.
	LinkUnknown LinkKind = "unknown"
)

// Link is a part of a chain of waits.
type Link struct {
	Kind LinkKind
	// Function is what waits or computes, with its module; of LinkProcess what woke who
	// waited. Both are empty when it is not known.
	Function, Module string
	// Call is the system call that is waited in, Thread the name of a thread that is
	// none of the service's.
	Call, Thread string
	// Share is the part of the waits at the beginning of the chain that comes here, 0 to 1.
	Share float64
}

// certain reports whether the end of a chain is what most of its waits are for.
func certain(links []chain.Link) bool {
	if len(links) < 2 {
		return false
	}
	end := &links[len(links)-1]
	return 2*end.Share >= 1 && end.Waits >= criteria.FewSightings
}

// recorded reports whether the end of a chain is certain and was recorded: who holds a lock
// that goroutines wait for is inferred, which is enough to say it, not to blame for it.
func recorded(links []chain.Link) bool {
	return certain(links) && !threadtrace.IsGoroutineWait(links[0].Number)
}

// waitChain follows the wait with the most excess, of those that were found to be in
// excess, to where it ends. To say what waits are for takes less evidence than to say that
// they are longer: where none were found it is the one that became longer most of all, if
// its end is certain and it is a part of the time lost that is told.
func (a *Analyzer) waitChain(c *attribute.Case, w *waiting) []chain.Link {
	cells := map[baseline.Cell]bool{}
	for _, f := range c.Verdict.Cells {
		if f.Cell.State == baseline.Waiting {
			cells[f.Cell] = true
		}
	}
	found := maps.Clone(w.amid)
	maps.DeleteFunc(found, func(at chain.Place, _ float64) bool {
		return !cells[baseline.CellOf(a.stacks, at.Stack, at.Number, true)]
	})
	if links := w.graph.Follow(found); links != nil {
		return links
	}
	links := w.graph.Follow(w.amid)
	if longer := a.longer(w.amid, links); certain(links) && longer >= criteria.Little*(c.Verdict.CPUExcess+c.Verdict.WaitExcess+longer) {
		return links
	}
	return nil
}

// longer is how much more is waited at the beginning of a chain.
func (a *Analyzer) longer(excess map[chain.Place]float64, links []chain.Link) (sum float64) {
	if len(links) == 0 {
		return 0
	}
	for at, e := range excess {
		if leaf, ok := a.stacks.Leaf(at.Stack); ok && leaf == links[0].Function && at.Number == links[0].Number {
			sum += e
		}
	}
	return sum
}

// chainTo is the chain of waits that look like waits for something to do, or that are
// hardly longer than by the past, when it ends in the first suspect or what that calls:
// who is woken by the one who is to blame waited for it.
func (a *Analyzer) chainTo(w *waiting, suspects []Suspect) []chain.Link {
	if len(suspects) == 0 {
		return nil
	}
	for _, excess := range []map[chain.Place]float64{w.amid, w.idle} {
		links := w.graph.Follow(excess)
		if certain(links) && attribute.Find(a.stacks, links[len(links)-1].Stack, suspects[0]) >= 0 {
			return links
		}
	}
	return nil
}

// chainOfOne is the wait with the most excess, if that is half of all and its call tells
// what it is for without anybody who ends it: storage, or a time.
func (a *Analyzer) chainOfOne(c *attribute.Case, w *waiting) []chain.Link {
	type place struct{ function, number int32 }
	sums, stacks := map[place]float64{}, map[place]chain.Place{}
	all := c.Verdict.CPUExcess
	for at, e := range w.amid {
		all += max(0, e)
		if leaf, ok := a.stacks.Leaf(at.Stack); ok {
			p := place{leaf, at.Number}
			if most, seen := stacks[p]; !seen || w.amid[most] < e || w.amid[most] == e && at.Stack < most.Stack {
				stacks[p] = at
			}
			sums[p] += e
		}
	}
	for p, e := range sums {
		kind := a.endOf(p.number, chain.Unknown)
		if e > 0 && 2*e > all && (kind == LinkDisk || kind == LinkTimer) {
			return []chain.Link{{Kind: chain.Waits, Function: p.function, Stack: stacks[p].Stack, Number: p.number, Share: 1}}
		}
	}
	return nil
}

// alongChain gives the excess of waits to where their chain ends, if that is certain and
// in the service: who waits for others is hit by what those do, and longer waits are no
// growth of its own.
func (a *Analyzer) alongChain(times []attribute.Time, links []chain.Link, load float64) []attribute.Time {
	for len(links) > 0 && links[len(links)-1].Kind != chain.Computes && links[len(links)-1].Kind != chain.Waits {
		links = links[:len(links)-1]
	}
	if !recorded(links) {
		return times
	}
	first, end := &links[0], &links[len(links)-1]
	if end.Stack == 0 || end.Function < 0 {
		return times
	}
	moved := attribute.Time{Stack: end.Stack, Kind: attribute.EvidenceBlocked, Call: end.Number}
	if end.Kind == chain.Computes {
		moved.Kind, moved.Call = attribute.EvidenceOnCPU, 0
	}
	for i := range times {
		t := &times[i]
		leaf, ok := a.stacks.Leaf(t.Stack)
		if t.Kind != attribute.EvidenceBlocked || t.Idle || t.Call != first.Number || !ok || leaf != first.Function {
			continue
		}
		excess, beyond := end.Share*t.Excess, end.Share*t.Beyond
		longer := end.Share * max(t.Beyond, t.Now-load*t.Past)
		t.Excess, t.Beyond, t.Now = t.Excess-excess, t.Beyond-beyond, t.Now-longer
		moved.Excess, moved.Beyond, moved.Now = moved.Excess+excess, moved.Beyond+beyond, moved.Now+beyond
	}
	if moved.Excess <= 0 {
		return times
	}
	return append(times, moved)
}

// waiters are the functions that wait for threads of the service in a chain whose end is
// certain.
func waiters(links []chain.Link) (functions []int32) {
	if !recorded(links) {
		return nil
	}
	for i := range links[:len(links)-1] {
		if next := links[i+1].Kind; links[i].Function >= 0 && (next == chain.Waits || next == chain.Computes) {
			functions = append(functions, links[i].Function)
		}
	}
	return functions
}

// describeChain says a chain. Of a wait that no thread ends it says what for.
func (a *Analyzer) describeChain(links []chain.Link) []Link {
	out := make([]Link, 0, len(links))
	for i := range links {
		l := &links[i]
		link := Link{Kind: linkKinds[l.Kind], Share: Round(l.Share), Thread: l.Name}
		if l.Function >= 0 {
			f := a.stacks.Function(l.Function)
			link.Function, link.Module = f.Name, f.Module
		}
		if l.Kind == chain.Waits {
			link.Call = threadtrace.Name(a.arch, l.Number)
			if last := len(links) - 1; i == last {
				link.Kind = a.endOf(l.Number, chain.Unknown)
			} else if end := links[i+1].Kind; end == chain.Storage || end == chain.Interrupt {
				link.Kind, link.Share = a.endOf(l.Number, end), Round(links[i+1].Share)
				return append(out, link)
			}
		}
		out = append(out, link)
	}
	return out
}

// linkKinds are the kinds of link by those of the chain.
var linkKinds = [...]LinkKind{
	chain.Waits: LinkWait, chain.Computes: LinkCPU, chain.Unknown: LinkUnknown, chain.Storage: LinkDisk,
	chain.Interrupt: LinkNetwork, chain.Kernel: LinkKernel, chain.Other: LinkProcess,
}

// endOf is what a wait in a call is for that no thread ends, as far as it is known who did.
func (a *Analyzer) endOf(number int32, end chain.Kind) LinkKind {
	class := a.classes.Of(number)
	switch {
	case end == chain.Storage, class&(threadtrace.ClassSync|threadtrace.ClassFile|threadtrace.ClassLookup) != 0:
		return LinkDisk
	case class&threadtrace.ClassSleep != 0, end == chain.Interrupt && class&threadtrace.ClassFutex != 0:
		return LinkTimer
	case class&(threadtrace.ClassReadiness|threadtrace.ClassAccept|threadtrace.ClassConnect|threadtrace.ClassReadLike|threadtrace.ClassOutput) != 0:
		return LinkNetwork
	}
	return LinkUnknown
}

func sayChain(links []Link) []explain.Link {
	out := make([]explain.Link, len(links))
	for i := range links {
		l := &links[i]
		out[i] = explain.Link{Kind: string(l.Kind), Function: l.Function, Call: l.Call, Thread: l.Thread}
	}
	return out
}
