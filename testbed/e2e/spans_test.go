//go:build linux

package e2e

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/perfscope/perfscope/testbed/agent"
	"github.com/perfscope/perfscope/testbed/load"
	"github.com/perfscope/perfscope/testbed/scenario"
	"github.com/perfscope/perfscope/testbed/server"
)

const (
	// learnSpans is the time before the fault: 40 s are needed.
	learnSpans = 60 * time.Second
	// edge is how far inside an abnormal stretch a span must lie to have to
	// have its event: the stretch begins and ends with what was observed.
	edge = 500 * time.Millisecond
)

// TestSpansAreAnnotated sends the spans of an instrumented redis and of its
// client through the shipped configuration while redis becomes slow. What leaves
// goes by OTLP over HTTP to a second collector, which writes it down.
func TestSpansAreAnnotated(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute and a half: the collector has to learn what is normal")
	}
	needRoot(t)
	// Pure CPU: the fault is as strong on any disk.
	all := scenario.All()
	sc := all[slices.IndexFunc(all, func(s scenario.Scenario) bool { return s.Name == "redis-keys" })]
	w, err := sc.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Server.Stop(); err != nil {
			t.Error(err)
		}
	})
	l := load.Start(t.Context(), w.Load)
	t.Cleanup(l.Stop)

	dir := t.TempDir()
	spanFile := filepath.Join(dir, "spans.json")
	otlp, err := server.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	second, url := startSecond(t, spanFile)
	a, err := agent.Start(t.Context(), agent.Config{
		Binary: binary, File: config, Out: dir,
		Overlays: []string{filepath.Join("..", "..", "config", "otlp-http.yaml")},
		Env:      []string{"PERFSCOPE_OTLP_HTTP_ENDPOINT=" + otlp, "OTEL_EXPORTER_OTLP_HTTP_ENDPOINT=" + url},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Stop()
	told := follow(t, second, w.Server.PID())
	sender := startSender(t, w.Server, "http://"+otlp+"/v1/traces")
	pause(t, a, learnSpans)

	// Early in a hop, so that there are spans within what is found first.
	pause(t, a, time.Until(hopOf(time.Now()).Add(hop+500*time.Millisecond)))
	onset := time.Now()
	end, err := w.Fault(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer end()
	found := func() bool {
		return slices.ContainsFunc(told.list(), func(a agent.Anomaly) bool { return a.Warn && a.End.After(onset) })
	}
	for deadline := time.Now().Add(25 * time.Second); !found(); pause(t, a, 200*time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no anomaly within 25 s of the fault")
		}
	}
	pause(t, a, 3*time.Second)
	sent := sender.stop(t)
	// The last spans wait for their judgement.
	var left []agent.Span
	for deadline := time.Now().Add(15 * time.Second); len(left) < len(sent) && time.Now().Before(deadline); pause(t, a, 200*time.Millisecond) {
		if left, err = agent.ReadSpans(spanFile); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
	if metrics, err := a.Metrics(t.Context()); err == nil {
		t.Logf("%d spans sent, %.0f annotated", len(sent), agent.Total(metrics, "processor_perfscope_spans_annotated"))
	}
	if err := a.Stop(); err != nil {
		t.Error(err)
	}
	r := spanRun{sc: sc, sent: sent, left: left, told: told.list(), others: told.ofOthers(), onset: onset}
	r.check(t)
}

// startSecond starts a collector that takes OTLP over HTTP at the address
// returned, and writes it down.
func startSecond(t *testing.T, spanFile string) (second *agent.Agent, url string) {
	t.Helper()
	addr, err := server.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "second.yaml")
	text := fmt.Sprintf(`
receivers: {otlp: {protocols: {http: {endpoint: %s}}}}
exporters:
  file/spans: {path: %s}
  file/anomalies: {path: "${env:PERFSCOPE_ANOMALY_FILE}"}
service:
  telemetry: {metrics: {level: none}}
  pipelines:
    traces: {receivers: [otlp], exporters: [file/spans]}
    logs: {receivers: [otlp], exporters: [file/anomalies]}
`, addr, spanFile)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	second, err = agent.Start(t.Context(), agent.Config{Binary: binary, File: file, Out: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := second.Stop(); err != nil {
			t.Error(err)
		}
	})
	return second, "http://" + addr
}

// spanRun is what came of a run.
type spanRun struct {
	sc    scenario.Scenario
	sent  map[string]sentSpan
	left  []agent.Span
	told  []agent.Anomaly
	onset time.Time
	// others are the anomalies of other processes, which may be of the same name.
	others map[string]bool
}

// sentSpan is a span and whose it is.
type sentSpan struct {
	agent.Span
	origin origin
}

// origin is what a span tells of where it comes from.
type origin string

const (
	ofClient    origin = "client"    // no watched service
	ofServer    origin = "server"    // no thread.id
	ofMain      origin = "main"      // the thread.id that serves requests
	ofBystander origin = "bystander" // the thread.id of another thread of the server
)

func (r *spanRun) check(t *testing.T) {
	t.Helper()
	for _, a := range r.told {
		t.Logf("told %.1f s after the fault: %s of %.1f to %.1f s, score %.2f, span %q: %s", a.Seen.Sub(r.onset).Seconds(),
			a.Severity, a.Start.Sub(r.onset).Seconds(), a.End.Sub(r.onset).Seconds(), a.Score, a.SpanID, a.Sentence)
	}
	byID := r.checkAllLeft(t)
	told := r.first()
	if rank := told.Rank(r.sc.Truth); rank == 0 || rank > r.sc.Top {
		t.Errorf("the true function (%v) is in place %d of the anomaly", r.sc.Truth, rank)
	}
	annotated, clean, excused := map[origin]int{}, map[origin]int{}, 0
	missed, same, quick, usual := 0, 0, 0, r.usual()
	for id, s := range byID {
		from := r.sent[id].origin
		r.checkEvents(t, s)
		var events int
		for _, e := range s.Anomalies {
			if r.others[e.ID] || r.falseAlarm(e.ID) && s.End.Before(r.onset) {
				excused++
				continue
			}
			events++
			if known, as := r.alike(e); as {
				same++
			} else if known && e.At.Before(r.lastTold()) {
				t.Errorf("the event says %+v, none of the log records does: %+v", e, r.told)
			}
		}
		switch {
		// What happened in the hop of the fault before it is judged with it.
		case s.End.Before(hopOf(r.onset)), from == ofClient, from == ofBystander:
			clean[from]++
			if events > 0 {
				t.Errorf("a span of the %s that ended %.1f s after the fault has %d events", from, s.End.Sub(r.onset).Seconds(), events)
			}
		case s.Start.After(later(told.Start, r.onset).Add(edge)) && s.End.Before(told.End.Add(-edge)):
			if s.End.Sub(s.Start) <= usual {
				quick++ // it slipped through between two KEYS: it may have one
				continue
			}
			annotated[from]++
			if events == 0 {
				missed++
			}
		}
	}
	t.Logf("spans without events, as they should be: %v; within the anomaly, longer than %s: %v, %d of them without an event, others: %d; %d events as in the log record; %d of false alarms and other servers",
		clean, usual, annotated, missed, quick, same, excused)
	if clean[ofServer] < 50 || clean[ofMain] < 50 || clean[ofBystander] < 50 || clean[ofClient] < 150 {
		t.Errorf("too few spans to show that healthy ones stay as they are: %v", clean)
	}
	// On a machine that is very busy a judgement may come too late for some.
	if within := annotated[ofServer] + annotated[ofMain]; annotated[ofServer] == 0 || annotated[ofMain] == 0 || missed > max(1, within/10) {
		t.Errorf("of %d spans within the anomaly %d have no event", within, missed)
	}
	if same == 0 {
		t.Error("no event says the same as the log record")
	}
	r.checkExemplar(t, told, byID)
}

// usual is what 99 of 100 spans of the server took at most before the fault:
// an anomaly that slows spans is on those only that took longer.
func (r *spanRun) usual() time.Duration {
	var times []time.Duration
	for id, s := range r.sent {
		if s.End.Before(hopOf(r.onset)) && r.sent[id].origin != ofClient {
			times = append(times, s.End.Sub(s.Start))
		}
	}
	slices.Sort(times)
	return times[len(times)*99/100]
}

// checkAllLeft compares what left with what was sent: each span once, and
// nothing but anomalies added.
func (r *spanRun) checkAllLeft(t *testing.T) map[string]agent.Span {
	t.Helper()
	byID := map[string]agent.Span{}
	for _, s := range r.left {
		if _, twice := byID[s.SpanID]; twice {
			t.Errorf("span %s left twice", s.SpanID)
		}
		byID[s.SpanID] = s
		if want, known := r.sent[s.SpanID]; !known {
			t.Errorf("span %s left and was never sent", s.SpanID)
		} else if !reflect.DeepEqual(s.Content, want.Content) {
			t.Fatalf("span %s left changed:\n%v\nsent:\n%v", s.SpanID, s.Content, want.Content)
		}
	}
	if len(byID) != len(r.sent) {
		t.Errorf("%d spans were sent, %d left", len(r.sent), len(byID))
	}
	return byID
}

// checkEvents holds what every event must keep to.
func (r *spanRun) checkEvents(t *testing.T, s agent.Span) {
	t.Helper()
	for _, e := range s.Anomalies {
		if e.ID == "" || len(e.Suspects) == 0 || e.Suspects[0].Function == "" || e.Sentence == "" {
			t.Errorf("an event says too little: %+v", e)
		}
		if e.At.Before(s.Start) || e.At.After(s.End) {
			t.Errorf("an event at %s is on a span from %s to %s", e.At, s.Start, s.End)
		}
	}
}

// checkExemplar holds that the log record names a span that the anomaly
// covers: some were held when it was found.
func (r *spanRun) checkExemplar(t *testing.T, told agent.Anomaly, byID map[string]agent.Span) {
	t.Helper()
	s, there := byID[told.SpanID]
	if !there || s.TraceID != told.TraceID {
		t.Errorf("the log record names trace %q and span %q, which is none of those sent", told.TraceID, told.SpanID)
		return
	}
	if !slices.ContainsFunc(s.Anomalies, func(e agent.SpanAnomaly) bool { return e.ID == told.ID }) {
		t.Errorf("the span that the log record names (%s) does not have the anomaly: %+v", told.SpanID, s.Anomalies)
	}
}

// first is the first anomaly that is of the fault.
func (r *spanRun) first() agent.Anomaly {
	i := slices.IndexFunc(r.told, func(a agent.Anomaly) bool { return a.Warn && a.End.After(r.onset) })
	return r.told[i]
}

// alike reports whether a log record has the event's anomaly and sentence, and whether
// one of those says the same in all else, too: of a longer anomaly two records may share
// their sentence.
func (r *spanRun) alike(e agent.SpanAnomaly) (known, as bool) {
	for _, a := range r.told {
		if a.ID != e.ID || a.Sentence != e.Sentence {
			continue
		}
		known = true
		as = as || e.Suspects[0].Function == a.Suspects[0].Function && e.Pattern == a.Pattern && e.Score == a.Score
	}
	return known, as
}

// lastTold is the end of the time that the log records cover: what is on spans after it
// may have a score of its own, for not every hop of an anomaly has a record.
func (r *spanRun) lastTold() time.Time {
	var last time.Time
	for _, a := range r.told {
		last = later(last, a.End)
	}
	return last
}

// falseAlarm reports whether an episode was reported before the fault: a busy
// machine is a reason for slowness, too.
func (r *spanRun) falseAlarm(id string) bool {
	return slices.ContainsFunc(r.told, func(a agent.Anomaly) bool { return a.ID == id && a.End.Before(r.onset) })
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// hop is the default of the processor's hop; hops begin at multiples of it.
const hop = 5 * time.Second

func hopOf(at time.Time) time.Time { return at.UTC().Truncate(hop) }

// toldAnomalies are the log records of the service under test so far.
type toldAnomalies struct {
	mu     sync.Mutex
	told   []agent.Anomaly
	others map[string]bool
}

// ofOthers are the anomalies of other servers, by their ids.
func (f *toldAnomalies) ofOthers() map[string]bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.others)
}

func (f *toldAnomalies) list() []agent.Anomaly {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.told)
}

// follow reads anomalies until the test ends; the machine may run other
// servers, which are watched, too.
func follow(t *testing.T, a *agent.Agent, pid int) *toldAnomalies {
	f := &toldAnomalies{others: map[string]bool{}}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- agent.Follow(ctx, a.AnomalyFile, func(a agent.Anomaly) {
			f.mu.Lock()
			defer f.mu.Unlock()
			if a.PID == pid {
				f.told = append(f.told, a)
			} else {
				f.others[a.ID] = true
			}
		})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return f
}

// pause waits; a collector that ends meanwhile fails the test.
func pause(t *testing.T, a *agent.Agent, d time.Duration) {
	t.Helper()
	select {
	case <-a.Done():
		t.Fatalf("the collector ended: %v", a.Err())
	case <-t.Context().Done():
		t.Fatal(context.Cause(t.Context()))
	case <-time.After(d):
	}
}
