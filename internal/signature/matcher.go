package signature

import (
	"cmp"
	"slices"

	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// Named is a function that a call tells.
type Named struct {
	// Function indexes File.Functions.
	Function int
	// Confidence is that of the surest signature that matched, Weight the
	// largest weight of one.
	Confidence, Weight float64
	// Within is how many calls, this one among them, the match at the least
	// reaches back over: 1 when the call alone tells it.
	Within int
}

// Match is what a call tells, by the calls before it.
type Match struct {
	// Stack is the functions on the stack, innermost first, as far as they
	// are known.
	Stack []Named
	// Best indexes Stack: the function whose match has the most weight.
	Best int
}

// Thread is where one thread is in the automaton of a Matcher; to another it is
// one that was not seen yet, as is its zero value.
type Thread struct {
	of         *Matcher
	state      int32
	generation uint32
	n          int
}

// Matcher follows threads through the automaton over all episodes of a file.
// A call takes the time of one look into a table, whatever the number of
// episodes. It is not safe for concurrent use; File must not change.
type Matcher struct {
	File    *File
	classes *threadtrace.Classes
	auto    automaton
	// column of a call that simply succeeded, by its number; others of those
	// that ended otherwise.
	column [512]int32
	others map[Symbol]int32
}

// NewMatcher makes the automaton of a file.
func NewMatcher(f *File) *Matcher {
	m := &Matcher{File: f, classes: threadtrace.NewClasses(f.Arch), others: map[Symbol]int32{}}
	m.auto.describe = m.describe
	m.auto.root = m.auto.node()
	for i := range f.Functions {
		for _, s := range f.Functions[i].Signatures {
			at := m.auto.root
			for _, step := range s.Episode {
				at = m.auto.grow(at, step.Gap, m.columnFor(step.Call))
			}
			m.auto.nodes[at].ends = append(m.auto.nodes[at].ends, Named{
				Function: i, Confidence: s.Confidence(), Weight: f.Weight(&f.Functions[i], s), Within: len(s.Episode),
			})
		}
	}
	m.auto.reset()
	return m
}

// columnFor gives a symbol its column; column 0 is for calls in no episode.
func (m *Matcher) columnFor(s Symbol) int32 {
	number, errno := int(s>>errnoBits), s&errnoMask
	if errno == 0 && number < len(m.column) {
		if m.column[number] == 0 {
			m.auto.columns++
			m.column[number] = m.auto.columns
		}
		return m.column[number]
	}
	if m.others[s] == 0 {
		m.auto.columns++
		m.others[s] = m.auto.columns
	}
	return m.others[s]
}

// Next takes a thread's next finished call, and returns what it tells: nil when
// that is nothing. Other events must not be given to it.
func (m *Matcher) Next(t *Thread, e *threadtrace.Event) *Match {
	if t.of != m || t.generation != m.auto.generation || cut(m.classes, e, t.n) {
		*t = Thread{of: m, generation: m.auto.generation}
	}
	t.n++
	column := int32(0)
	switch end := ending(m.classes, e.Number, e.Return); {
	case end == 0 && e.Number >= 0 && int(e.Number) < len(m.column):
		column = m.column[e.Number]
	case e.Number >= 0 && e.Number <= maxNumber:
		column = m.others[Symbol(e.Number)<<errnoBits|end]
	}
	t.state = m.auto.next(t.state, column)
	t.generation = m.auto.generation
	return m.auto.states[t.state].match
}

// States is the number of states of the automaton that were met so far.
func (m *Matcher) States() int { return len(m.auto.states) }

// describe makes a match of the episodes that end at a call.
func (m *Matcher) describe(ends []Named) *Match {
	if len(ends) == 0 {
		return nil
	}
	of := map[int]Named{}
	for _, n := range ends {
		if was, ok := of[n.Function]; ok {
			n.Confidence, n.Weight = max(n.Confidence, was.Confidence), max(n.Weight, was.Weight)
			n.Within = min(n.Within, was.Within)
		}
		of[n.Function] = n
	}
	match := &Match{}
	for _, n := range of {
		match.Stack = append(match.Stack, n)
	}
	depth := func(n Named) float64 {
		fn := &m.File.Functions[n.Function]
		return float64(fn.Beneath) / float64(max(1, fn.Calls))
	}
	slices.SortFunc(match.Stack, func(a, b Named) int {
		return cmp.Or(cmp.Compare(depth(a), depth(b)), cmp.Compare(a.Function, b.Function))
	})
	for i, n := range match.Stack {
		if n.Weight > match.Stack[match.Best].Weight {
			match.Best = i
		}
	}
	return match
}
