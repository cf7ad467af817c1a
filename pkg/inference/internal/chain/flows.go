package chain

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// Kind is what is at one end of a flow.
type Kind uint8

// The kinds.
const (
	// Waits is a thread of the service that waits in a call.
	Waits Kind = iota
	// Computes is one that computes.
	Computes
	// Unknown is one of which it is not known what it did then, beside making no long
	// calls; its stack is the one it most computes on, or on which it woke who waited.
	Unknown
	// Storage is a device, or a thread of the kernel, that ended a wait no signal would
	// have.
	Storage
	// Interrupt is the network or a timer.
	Interrupt
	// Kernel is a thread of the kernel.
	Kernel
	// Other is a thread of another service, or of nobody's.
	Other

	// LastKind is the last of them.
	LastKind = Other
)

// Node is what a thread does, or who it is.
type Node struct {
	Kind Kind
	// Stack is where; of Other and Unknown that on which it woke who waited.
	Stack uint32
	// Number is the call of Waits.
	Number int32
	// Name is that of the thread, of Kernel and Other.
	Name string
}

// maybe reports whether two calls may be at one place: not each has a stack.
func (n Node) maybe(o Node) bool {
	return n.Number == o.Number && (n.Stack == o.Stack || n.Stack == 0 || o.Stack == 0)
}

// named is a node of a thread of the kernel, or of nobody.
func (k Kind) named(thread string) Node {
	if k != Kernel {
		return Node{Kind: k}
	}
	return Node{Kind: k, Name: general(thread)}
}

// Flow is a wait and what it was spent on.
type Flow struct{ From, To Node }

// Sum is how much: nanoseconds of waits, and how many waits.
type Sum struct{ Time, Waits float64 }

// maxFlows bounds the distinct flows of one table.
const maxFlows = 4096

// Flows is how much of the waits at each place was spent on what.
type Flows map[Flow]Sum

// Add adds to a flow as far as there is room.
func (f Flows) Add(at Flow, s Sum) {
	was, known := f[at]
	if !known && len(f) >= maxFlows {
		return
	}
	f[at] = Sum{was.Time + s.Time, was.Waits + s.Waits}
}

func (f Flows) add(from, to Node, time, waits float64) { f.Add(Flow{from, to}, Sum{time, waits}) }

// And is the sum of two tables; neither is changed.
func (f Flows) And(o Flows) Flows {
	if len(f) == 0 {
		return o
	}
	if len(o) == 0 {
		return f
	}
	sum := make(Flows, len(f))
	for at, s := range f {
		sum[at] = s
	}
	for _, at := range o.Keys() {
		sum.Add(at, o[at])
	}
	return sum
}

// Keys are the flows in an order that does not change.
func (f Flows) Keys() []Flow {
	return slices.SortedFunc(maps.Keys(f), func(a, b Flow) int { return cmp.Or(compareNodes(a.From, b.From), compareNodes(a.To, b.To)) })
}

func compareNodes(a, b Node) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Stack, b.Stack), cmp.Compare(a.Number, b.Number), cmp.Compare(a.Name, b.Name))
}

// general is the name of a kind of thread: without what tells one of many from another.
func general(name string) string {
	if i := strings.IndexAny(name, "/:#"); i > 0 {
		name = name[:i]
	}
	return strings.TrimRight(name, "0123456789-_ ")
}

// Pending are flows that are worked out when they are asked for: of most hops nobody does.
// It is not safe for concurrent use; nil has none.
type Pending struct {
	flows Flows
	trace *Trace // nil once it is worked out
	from  int64
}

// NewPending has some flows and those of a trace that is complete; see Trace.Flows.
func NewPending(flows Flows, trace Trace, from int64) *Pending {
	return &Pending{flows: flows, trace: &trace, from: from}
}

// Flows works them out, once.
func (p *Pending) Flows() Flows {
	if p == nil {
		return nil
	}
	if p.trace != nil {
		p.flows, p.trace = p.flows.And(p.trace.Flows(p.from)), nil
	}
	return p.flows
}
