package inference

import (
	"github.com/perfscope/perfscope/internal/frames"
	"github.com/perfscope/perfscope/internal/signature"
	"github.com/perfscope/perfscope/internal/unit"
	"github.com/perfscope/perfscope/pkg/inference/internal/hop"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

const (
	// maxMatches bounds what is remembered of matches: the automaton's states, which
	// are made anew when they become too many, and then are others.
	maxMatches = 8192
	// maxMatchers bounds the matchers that are remembered. A service has a program or
	// two; those of which more is learned get new ones.
	maxMatchers = 16
)

// names gives calls that come without a stack the functions that signatures tell.
type names struct {
	// current is for the program whose batches come, nil when there is none;
	// matchers has those of all programs.
	current  *matcher
	matchers map[*signature.Matcher]*matcher
}

type matcher struct {
	*signature.Matcher
	// stacks has the identifiers of what matches say.
	stacks map[*signature.Match]uint32
}

// UseSignatures has the calls of the batches that follow named by signatures where
// they have no stack; nil ends that. Processes of another program need another
// matcher.
func (a *Analyzer) UseSignatures(m *signature.Matcher) {
	n := &a.names
	if m == nil {
		n.current = nil
		return
	}
	if n.matchers == nil || len(n.matchers) >= maxMatchers {
		n.matchers = map[*signature.Matcher]*matcher{}
	}
	if n.matchers[m] == nil {
		n.matchers[m] = &matcher{m, map[*signature.Match]uint32{}}
	}
	n.current = n.matchers[m]
}

// name gives a finished call the stack that its signature tells, if it has none, and
// returns how many calls it named.
func (n *names) name(a *Analyzer, h *hop.Open, th *thread, e *threadtrace.Event) uint64 {
	if n.current == nil {
		return 0
	}
	if unit.Waits(a.classes.Of(e.Number), e.Duration) {
		th.order = hop.Order{}
	}
	match := n.current.Next(&th.place, e)
	if match == nil {
		return 0
	}
	id, known := n.current.stacks[match]
	if !known {
		id = n.current.infer(a.stacks, match)
		if len(n.current.stacks) >= maxMatches {
			clear(n.current.stacks)
		}
		n.current.stacks[match] = id
	}
	if id == 0 {
		return 0
	}
	th.order = h.Follow(th.order, id)
	if e.Stack != 0 {
		return 0
	}
	e.Stack = id
	return 1
}

func (m *matcher) infer(stacks *frames.Table, match *signature.Match) uint32 {
	functions := make([]frames.Function, len(match.Stack))
	for i, n := range match.Stack {
		fn := &m.File.Functions[n.Function]
		functions[i] = frames.Function{Name: fn.Name, Module: fn.Module}
	}
	return stacks.Infer(functions, 1-match.Stack[match.Best].Confidence)
}

// dropInferred leaves out of the call sites what signatures say of calls for which
// there are stacks, too: a sample of what is known is worth more than all that is
// told.
func (n *names) dropInferred(stacks *frames.Table, c *hop.Closed) {
	if n.current == nil {
		return
	}
	known := map[unit.Key]bool{}
	for site := range c.Sites.All() {
		if !stacks.Get(site.Stack).Inferred {
			known[site.Key] = true
		}
	}
	c.Sites = c.Sites.Those(func(site hop.Site, _ float64) bool { return !stacks.Get(site.Stack).Inferred || !known[site.Key] })
}
