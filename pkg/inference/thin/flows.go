package thin

import (
	"math"

	"github.com/perfscope/perfscope/pkg/inference/internal/chain"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// addWakings takes who ended the waits of a thread; numbers are those of the stacks.
func (r *Recorder) addWakings(thread int32, wakings []threadtrace.Waking, numbers []uint32) {
	number := func(stack uint32) uint32 {
		if int(stack) >= len(numbers) {
			return 0
		}
		return numbers[stack]
	}
	for i := range wakings {
		w := wakings[i]
		w.Stack, w.WakerStack = number(w.Stack), number(w.WakerStack)
		if w.By == threadtrace.WakerThread {
			w.Thread = r.thread(w.Thread)
		}
		r.at(w.Time).Chains.Wake(thread, &w)
	}
}

// flows gives what waits were spent on in an order that does not change.
func (r *Recorder) flows(sums chain.Flows) (flows []Flow) {
	for _, at := range sums.Keys() {
		from, known := r.node(at.From)
		to, ok := r.node(at.To)
		if known && ok {
			s := sums[at]
			flows = append(flows, Flow{From: from, To: to, Time: int64(math.Round(s.Time/float64(resolution))) * resolution, MilliWaits: uint64(math.Round(1000 * s.Waits))})
		}
	}
	return flows
}

func (r *Recorder) node(n chain.Node) (out Node, ok bool) {
	out, ok = Node{Kind: uint8(n.Kind), Stack: n.Stack, Number: n.Number}, true
	if n.Name != "" {
		out.Name, ok = r.name(n.Name)
	}
	return out, ok
}

// flows writes nothing else than their number when there are none.
func (b *buffer) flows(flows []Flow) {
	b.number(uint64(len(flows)))
	node := func(n *Node) {
		*b = append(*b, n.Kind)
		b.number(uint64(n.Stack))
		b.signed(int64(n.Number))
		b.number(uint64(n.Name))
	}
	for i := range flows {
		f := &flows[i]
		node(&f.From)
		node(&f.To)
		b.time(f.Time)
		b.number(f.MilliWaits)
	}
}

func (f *fields) flows(i *Interval) {
	const least = 2*4 + 2
	n := f.count("flows", least)
	if n == 0 {
		return
	}
	i.Flows = make([]Flow, n)
	for j := range i.Flows {
		i.Flows[j] = Flow{From: f.node(i), To: f.node(i), Time: f.time("a wait"), MilliWaits: uint64(f.below("waits", math.MaxInt32))} //nolint:gosec // not negative
	}
}

func (f *fields) node(i *Interval) Node {
	n := Node{
		Kind: f.byte("a kind"), Stack: uint32(f.index("a stack", len(i.Stacks)+1)), //nolint:gosec // bounded
		Number: f.int32("a call"), Name: uint32(f.below("a name", 1<<32)), //nolint:gosec // bounded
	}
	if f.err == nil && chain.Kind(n.Kind) > chain.LastKind {
		f.fail(ErrCorrupted, "the kind of an end of a flow")
	}
	return n
}
