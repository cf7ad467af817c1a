package window

import (
	"github.com/perfscope/perfscope/internal/signature"
	"github.com/perfscope/perfscope/internal/suspect"
	"github.com/perfscope/perfscope/internal/syscalltrace"
	"github.com/perfscope/perfscope/internal/unit"
)

// signatures name calls that come without a stack.
type signatures struct {
	matcher *signature.Matcher
	// stacks has the identifiers of what matches say.
	stacks map[*signature.Match]uint32
}

// maxMatches bounds what is remembered of matches: the automaton's states, which
// are made anew when they become too many, and then are others.
const maxMatches = 8192

// maxMatchers bounds the matchers that are remembered. A service has a program
// or two; those of which more is learned get new ones.
const maxMatchers = 16

// UseSignatures has the calls of the batches that follow named by signatures
// where they have no stack; nil ends that. Processes of another program need
// another matcher.
func (s *Service) UseSignatures(m *signature.Matcher) {
	if m == nil {
		s.signatures = nil
		return
	}
	if s.matchers == nil || len(s.matchers) >= maxMatchers {
		s.matchers = map[*signature.Matcher]*signatures{}
	}
	if s.matchers[m] == nil {
		s.matchers[m] = &signatures{matcher: m, stacks: map[*signature.Match]uint32{}}
	}
	s.signatures = s.matchers[m]
}

// name gives a finished call the stack that its signature tells, if it has none.
func (s *Service) name(h *hop, th *thread, e *syscalltrace.Event) {
	if e.Kind != syscalltrace.KindCall || th == nil {
		return
	}
	if unit.Waits(s.classes.Of(e.Number), e.Duration) {
		th.order = order{}
	}
	match := s.signatures.matcher.Next(&th.place, e)
	if match == nil {
		return
	}
	id, known := s.signatures.stacks[match]
	if !known {
		id = s.infer(match)
		if len(s.signatures.stacks) >= maxMatches {
			clear(s.signatures.stacks)
		}
		s.signatures.stacks[match] = id
	}
	if id == 0 {
		return
	}
	h.follow(th, id)
	if e.Stack == 0 {
		s.stats.CallsNamed++
		e.Stack = id
	}
}

func (s *Service) infer(match *signature.Match) uint32 {
	functions := make([]suspect.Function, len(match.Stack))
	for i, n := range match.Stack {
		fn := &s.signatures.matcher.File.Functions[n.Function]
		functions[i] = suspect.Function{Name: fn.Name, Module: fn.Module}
	}
	return s.stacks.Infer(functions, 1-match.Stack[match.Best].Confidence)
}

// withoutInferred leaves out of the call sites what signatures say of calls for
// which there are stacks, too: a sample of what is known is worth more than all
// that is told.
func (s *Service) withoutInferred(sites map[callSite]uint32) {
	known := map[unit.Key]bool{}
	for site := range sites {
		if !s.stacks.Get(site.stack).Inferred {
			known[site.key] = true
		}
	}
	for site := range sites {
		if s.stacks.Get(site.stack).Inferred && known[site.key] {
			delete(sites, site)
		}
	}
}
