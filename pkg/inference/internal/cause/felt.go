package cause

import (
	"github.com/perfscope/perfscope/pkg/inference/internal/hop"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// SeesClients reports whether clients were seen in a hop, that have their answer or wait for it.
func SeesClients(h *hop.Closed) (seen bool) {
	h.Machine.Each(threadtrace.MeasureAnswered, func(string, float64) { seen = true })
	return seen || h.Machine.Of(threadtrace.MeasureClientWait) > 0
}

// felt is how much longer than in the past clients wait for the service, the service for
// an answer, or what it sends for being taken, in nanoseconds per second.
func (f *finder) felt() (lost float64) {
	for _, m := range []threadtrace.Measure{
		threadtrace.MeasureClientWait, threadtrace.MeasureUnanswered, threadtrace.MeasurePeerWait,
		threadtrace.MeasureReceiverLimited, threadtrace.MeasureNetworkLimited,
	} {
		for _, name := range f.names(m) {
			x := f.resource(hop.Resource{Measure: m, Name: name})
			lost += x.grown()
		}
	}
	return lost
}
