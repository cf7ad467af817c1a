package inference

import (
	"maps"
	"slices"
	"time"

	"github.com/perfscope/perfscope/internal/explain"
	"github.com/perfscope/perfscope/internal/frames"
	"github.com/perfscope/perfscope/internal/unit"
	"github.com/perfscope/perfscope/pkg/inference/internal/hop"
	"github.com/perfscope/perfscope/pkg/inference/internal/pattern"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// sentence says an anomaly in one sentence; say has what the anomaly itself does not.
func sentence(a *Anomaly, say explain.Anomaly) string {
	say.Since = time.Unix(0, a.Onset).UTC()
	say.Share, say.Pattern = a.Impact, a.Pattern
	if len(a.Suspects) > 0 {
		say.Function, say.Module = a.Suspects[0].Function, a.Suspects[0].Module
	}
	if n := len(a.Order); n > 1 {
		say.After = a.Order[:n-1]
	}
	return explain.Sentence(&say)
}

// changed are the calls of an episode with who makes them: the application, when most
// of their stacks have a function of it.
func (a *Analyzer) changed(rates []pattern.CallRate, c *hop.Closed) []explain.Call {
	type makers struct{ application, all float64 }
	by := map[unit.Key]makers{}
	sites := c.Sites.Map()
	for _, site := range slices.SortedFunc(maps.Keys(sites), hop.Site.Compare) {
		m, n := by[site.Key], sites[site]
		m.all += n
		if s := a.stacks.Get(site.Stack); len(s.Frames) > 0 && s.Tier == frames.Application {
			m.application += n
		}
		by[site.Key] = m
	}
	calls := make([]explain.Call, len(rates))
	for i, r := range rates {
		m := by[unit.Key{Number: r.Number, Errno: r.Errno}]
		calls[i] = explain.Call{
			Name: threadtrace.Name(a.arch, r.Number), Errno: threadtrace.ErrnoName(r.Errno), Past: r.Past, Now: r.Now,
			Application: 2*m.application > m.all,
		}
	}
	return calls
}
