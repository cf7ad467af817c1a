package perfscopeprocessor

import (
	"context"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/perfscope/perfscope/internal/cleantext"
	"github.com/perfscope/perfscope/internal/evidence"
	"github.com/perfscope/perfscope/pkg/inference"
)

const (
	// maxTold bounds the anomalies of a service that are known after they were told.
	maxTold = 8
	// maxMarks bounds what is known to have happened to a service.
	maxMarks = 64
	// glance is how many hops a list of services shows of each.
	glance = 60
)

// boardOf is the page among a collector's extensions, nil when there is none.
func boardOf(host component.Host) evidence.Board {
	extensions := host.GetExtensions()
	ids := make([]component.ID, 0, len(extensions))
	for id := range extensions {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b component.ID) int { return strings.Compare(a.String(), b.String()) })
	for _, id := range ids {
		if b, ok := extensions[id].(evidence.Board); ok {
			return b
		}
	}
	return nil
}

// show has the engine shown on a page, once for all of its pipelines.
func (e *engine) show(host component.Host) {
	e.shown.Do(func() {
		if b := boardOf(host); b != nil {
			e.board.Store(&b)
			e.hide = b.Show(e)
		}
	})
}

// url is where an anomaly can be seen from elsewhere, empty when it cannot.
func (e *engine) url(s *service, anomaly string) string {
	if b := e.board.Load(); b != nil {
		return (*b).URL(s.id, anomaly)
	}
	return ""
}

// ask has a function run between two flushes, and waits until it has.
func (e *engine) ask(ctx context.Context, what func()) error {
	done := make(chan struct{})
	if err := e.deliver(ctx, task{ask: func() { defer close(done); what() }}); err != nil {
		return err
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-e.done:
		return errStopped
	}
}

// copyOf is what is taken of a service while the analysis stands still.
type copyOf struct {
	line     evidence.Service
	key      string
	told     []inference.Anomaly
	tails    []inference.Tail
	slow     []evidence.SlowSpan
	marks    []evidence.Mark
	figures  []inference.HopFigures
	snapshot *inference.Snapshot
}

// Services lists the services that are analysed.
func (e *engine) Services(ctx context.Context) ([]evidence.Service, error) {
	var copies []copyOf
	err := e.ask(ctx, func() {
		for _, s := range e.inOrder() {
			copies = append(copies, e.copyOf(s))
		}
	})
	list := make([]evidence.Service, len(copies))
	for i := range copies {
		c := &copies[i]
		c.figures = c.figures[max(0, len(c.figures)-glance):]
		list[i] = c.service(e)
	}
	return list, err
}

// Detail is what is known of one.
func (e *engine) Detail(ctx context.Context, id string) (*evidence.Detail, error) {
	var c copyOf
	found := false
	err := e.ask(ctx, func() {
		for _, s := range e.services {
			if s.id == id {
				c, found = e.copyOf(s), true
			}
		}
	})
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, evidence.ErrUnknown
	}
	d := evidence.NewDetail(c.service(e), c.snapshot, func(id string) string { return anomalyID(c.key, id) })
	d.Marks, d.SlowSpans, d.Recording = c.marks, c.slow, e.flight.of(c.key)
	abnormal := func(at int64) bool {
		for i := range d.Hops {
			h := &d.Hops[i]
			if end := h.Start + int64(h.Seconds*1e3); at >= h.Start && at < end {
				return h.Abnormal
			}
		}
		return false
	}
	d.Spans = e.latencies.examples(c.key, abnormal)
	return d, nil
}

// copyOf copies little: a snapshot shares what does not change.
func (e *engine) copyOf(s *service) copyOf {
	c := copyOf{
		key: s.key, told: slices.Clone(s.told), tails: slices.Clone(s.tails), slow: slices.Clone(s.slowSpans), marks: slices.Clone(s.marks),
		line: evidence.Service{
			ID: s.id, Name: cleantext.Clean(s.name, cleantext.MaxName), Instance: cleantext.Clean(s.instance, cleantext.MaxName), Host: cleantext.Clean(s.host, cleantext.MaxName),
			Since: time.Unix(0, s.prospects.began).UTC(),
		},
	}
	c.line.State, c.line.Why = s.prospects.state()
	attrs := pcommon.NewMap()
	s.processes.common(attrs)
	text := func(key string, most int) string {
		if v, ok := attrs.Get(key); ok {
			return cleantext.Clean(v.AsString(), most)
		}
		return ""
	}
	c.line.Executable = text("process.executable.name", cleantext.MaxName)
	c.line.Build = buildOf(attrs)
	if v, ok := attrs.Get("process.pid"); ok && v.Type() == pcommon.ValueTypeInt {
		c.line.PID = v.Int()
	}
	if a, ok := s.analyzer.(interface{ Snapshot() *inference.Snapshot }); ok {
		c.snapshot = a.Snapshot()
		c.figures = c.snapshot.Figures
	}
	return c
}

// buildOf is the build id of a program, in whichever form it has one.
func buildOf(attrs pcommon.Map) string {
	for _, key := range []string{"process.executable.build_id.gnu", "process.executable.build_id.go", "process.executable.build_id.htlhash"} {
		if v, ok := attrs.Get(key); ok {
			return cleantext.Clean(v.AsString(), cleantext.MaxName)
		}
	}
	return ""
}

// service makes the line of a copy, outside of the analysis.
func (c *copyOf) service(e *engine) evidence.Service {
	s := c.line
	s.Hops = evidence.HopsOf(c.figures)
	e.latencies.fill(c.key, s.Hops)
	for i := len(c.told) - 1; i >= 0; i-- {
		a := evidence.AnomalyOf(&c.told[i])
		if b := e.board.Load(); b != nil {
			a.URL = (*b).URL(s.ID, a.ID)
		}
		s.Anomalies = append(s.Anomalies, a)
	}
	for i := range c.tails {
		k := evidence.SlowKindOf(&c.tails[i])
		k.Examples = e.slow.examples(c.key, c.tails[i].Kind)
		s.SlowRequests = append(s.SlowRequests, k)
	}
	return s
}

// remember keeps the last state of an anomaly that was reported, to be shown.
func (s *service) remember(a *inference.Anomaly) {
	kept := *a
	kept.Units = nil
	for i := range s.told {
		if s.told[i].ID == a.ID {
			s.told[i] = kept
			return
		}
	}
	if len(s.told) >= maxTold {
		s.told = slices.Delete(s.told, 0, 1)
	}
	s.told = append(s.told, kept)
}

// mark keeps what happened to a service at an instant of its events' time.
func (s *service) mark(at int64, text string) {
	if len(s.marks) >= maxMarks {
		s.marks = slices.Delete(s.marks, 0, 1)
	}
	s.marks = append(s.marks, evidence.Mark{At: time.Unix(0, at).UTC(), Text: text})
}

// watchProcesses marks when the service's processes have begun anew, or are of
// another build.
func (s *service) watchProcesses(f *flush) {
	build := buildOf(f.resource)
	if s.build != "" && build != "" && build != s.build {
		s.mark(f.latest, "another build")
	}
	if build != "" {
		s.build = build
	}
}
