package perfscopeprocessor

import (
	"slices"

	"github.com/perfscope/perfscope/pkg/inference"
)

// sharedCause is a resource of a host that services lack.
type sharedCause struct {
	host, resource string
	kind           inference.CauseKind
}

// victims has, for each resource that services lack at present, the service whose
// anomaly tells of it for all; the others are its victims. It is bounded by the
// services that are held, and belongs to the engine's goroutine.
type victims map[sharedCause]*hitTogether

type hitTogether struct {
	teller *service
	// others are the further services, by when they were hit.
	others []*service
}

// causeOf is what an anomaly's service lacks and others may lack as well; false when it
// is the service's own, or a state that says nothing of others.
func causeOf(s *service, a *inference.Anomaly) (c sharedCause, ok bool) {
	if len(a.Causes) == 0 || len(a.Suspects) > 0 { // its own functions may be why
		return c, false
	}
	first := &a.Causes[0]
	switch first.Kind {
	case inference.CauseCPUContention, inference.CauseCPUQuota, inference.CauseMemory, inference.CauseDisk, inference.CauseNetwork, inference.CausePeer:
		return sharedCause{s.host, first.Resource, first.Kind}, true
	}
	return c, false
}

// join enters an anomaly, and reports who tells of its cause: the service itself, or
// another one, which has one more victim then if grown is set.
func (v victims) join(s *service, a *inference.Anomaly) (teller *service, grown bool) {
	c, ok := causeOf(s, a)
	if s.lacks != c || !ok {
		v.leave(s)
	}
	if !ok {
		return s, false
	}
	s.lacks = c
	t := v[c]
	switch {
	case t == nil:
		v[c] = &hitTogether{teller: s}
		return s, false
	case t.teller == s || slices.Contains(t.others, s):
		return t.teller, false
	}
	t.others = append(t.others, s)
	return t.teller, true
}

// leave takes a service out that lacks nothing any more. When it told for others the
// first of them does from now on.
func (v victims) leave(s *service) {
	c := s.lacks
	s.lacks = sharedCause{}
	t := v[c]
	switch {
	case t == nil:
	case t.teller != s:
		t.others = slices.DeleteFunc(t.others, func(o *service) bool { return o == s })
	case len(t.others) == 0:
		delete(v, c)
	default:
		t.teller, t.others = t.others[0], t.others[1:]
	}
}

// of are the names of the victims of what a service tells of.
func (v victims) of(s *service) (names []string) {
	if t := v[s.lacks]; t != nil && t.teller == s {
		for _, o := range t.others {
			if !slices.Contains(names, o.name) {
				names = append(names, o.name)
			}
		}
	}
	return names
}
