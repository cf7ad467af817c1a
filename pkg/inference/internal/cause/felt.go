package cause

import (
	"github.com/perfscope/perfscope/pkg/inference/internal/hop"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// felt is how much longer than in the past clients wait for the service, the service for
// an answer, or what it sends for being taken, in nanoseconds per second; served is whether
// clients are seen: some that have their answer, or some that once waited for it.
func (f *finder) felt() (lost float64, served bool) {
	clients := f.measure(threadtrace.MeasureClientWait)
	lost, served = clients.grown(), clients.mean > 0
	for _, m := range []threadtrace.Measure{
		threadtrace.MeasureUnanswered, threadtrace.MeasurePeerWait, threadtrace.MeasureReceiverLimited, threadtrace.MeasureNetworkLimited,
	} {
		for _, name := range f.names(m) {
			x := f.resource(hop.Resource{Measure: m, Name: name})
			lost += x.grown()
		}
	}
	return lost, served || len(f.names(threadtrace.MeasureAnswered)) > 0
}
