package syscallreceiver

import (
	"sync/atomic"

	"go.opentelemetry.io/collector/component"

	"github.com/perfscope/perfscope/internal/cleantext"
	"github.com/perfscope/perfscope/internal/evidence"
	"github.com/perfscope/perfscope/internal/process"
)

// maxShownRules bounds the rules that are shown.
const maxShownRules = 1000

// watch says, for a page, how the receiver fares. It is an evidence.Watcher.
type watch struct {
	cfg   *Config
	stats *stats
	rules []string
	// matches is how many processes each rule chose in the last scan.
	matches  atomic.Pointer[[]int]
	degraded string
}

func newWatch(cfg *Config, s *stats, degraded error) *watch {
	w := &watch{cfg: cfg, stats: s}
	for _, r := range rules(cfg.Targets) {
		w.rules = append(w.rules, cleantext.Clean(r.String(), cleantext.MaxPath))
	}
	if degraded != nil {
		w.degraded = degraded.Error()
	}
	return w
}

// count takes the targets of a scan.
func (w *watch) count(targets []*process.Process) {
	matches := make([]int, len(w.rules))
	for _, p := range targets {
		if p.Rule >= 0 && p.Rule < len(matches) {
			matches[p.Rule]++
		}
	}
	w.matches.Store(&matches)
}

// Watch is how it fares now.
func (w *watch) Watch() evidence.Watch {
	out := evidence.Watch{Mode: string(w.cfg.Mode), Rules: []evidence.Rule{}, Traced: float64(w.stats.traced.Load()) / perMillion, Trouble: w.degraded}
	switch w.cfg.Mode {
	case ModeBurst:
		out.Budget = w.cfg.OverheadBudget
		out.Cost = float64(w.stats.hooks.Load()+w.stats.own.Load()) / perMillion
	case ModeContinuous:
		out.Traced = 1
	}
	matches := w.matches.Load()
	for i, text := range w.rules[:min(len(w.rules), maxShownRules)] {
		r := evidence.Rule{Text: text}
		if matches != nil {
			r.Matches = (*matches)[i]
		}
		out.Rules = append(out.Rules, r)
	}
	return out
}

// show has it shown on a page, if the collector has one; end is never nil.
func (w *watch) show(host component.Host) (end func()) {
	for _, e := range host.GetExtensions() {
		if b, ok := e.(evidence.Board); ok {
			return b.Show(w)
		}
	}
	return func() {}
}
