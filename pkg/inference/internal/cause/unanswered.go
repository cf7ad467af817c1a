package cause

import (
	"github.com/perfscope/perfscope/pkg/inference/internal/baseline"
	"github.com/perfscope/perfscope/pkg/inference/internal/criteria"
	"github.com/perfscope/perfscope/pkg/inference/internal/hop"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// unanswered are clients whose requests nothing of the service works on any more: a pool
// has run dry whose waiters are kept in a list, a reply was forgotten. No thread shows it.
//
// A connection whose client spoke last may as well be at rest: one of HTTP/2 after a
// window update, a publisher, a consumer that waits for a message. So a port is judged
// only when connections were often at rest there with their answer and hardly ever
// without; nearly all must lack it now, or it would be those few consumers; and less must
// be done than ever. Whatever else explains the time lost comes first.
func (f *finder) unanswered() {
	if !baseline.LessWork(f.Work) || f.Told {
		return
	}
	for i := range f.found {
		c := &f.found[i]
		held := c.Lost / 1e9
		if c.Kind == Stopped {
			held = c.Lost / max(f.Active, 1) // its loss is that part of what the service does
		}
		if c.Evidence >= f.certain && held >= criteria.Little {
			return
		}
	}
	look := f.Hop.Machine.Look()
	for _, port := range f.names(threadtrace.MeasureUnanswered) {
		lacking := f.resource(hop.Resource{Measure: threadtrace.MeasureUnanswered, Name: port})
		having := f.resource(hop.Resource{Measure: threadtrace.MeasureAnswered, Name: port})
		rests := having.mean / look * having.hops
		if rests < criteria.FewSightings || having.mean < criteria.ManyTimes*lacking.mean || lacking.now < criteria.ManyTimes*having.now {
			continue
		}
		f.add(Cause{Kind: Unanswered, Resource: port, Lost: lacking.grown(), Evidence: lacking.evidence(lacking.mean, look)})
	}
}
