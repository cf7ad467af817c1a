//go:build linux

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/perfscope/perfscope/testbed/agent"
	"github.com/perfscope/perfscope/testbed/client"
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
			} else if known {
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

// sender is an instrumented client of an instrumented redis: every 100 ms it
// makes some requests for about 50 ms and has a client and a server span of
// them. Every second one half of the spans is sent at once, the other 5 s
// later, as most SDKs do.
type sender struct {
	url            string
	pid, bystander int // of the server; a thread of it that serves nobody
	conn           *client.Redis
	http           http.Client
	quit, done     chan struct{}
	posts          sync.WaitGroup
	lots           int

	mu   sync.Mutex
	sent map[string]sentSpan
	errs []error
}

func startSender(t *testing.T, redis *server.Server, url string) *sender {
	t.Helper()
	conn, err := client.DialRedis(redis.Addr)
	if err != nil {
		t.Fatal(err)
	}
	s := &sender{
		url: url, pid: redis.PID(), conn: conn, http: http.Client{Timeout: 20 * time.Second},
		quit: make(chan struct{}), done: make(chan struct{}), sent: map[string]sentSpan{},
	}
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", s.pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		if id, _ := strconv.Atoi(task.Name()); id != s.pid {
			s.bystander = id
		}
	}
	go s.run()
	return s
}

// stop returns what was sent, by span id.
func (s *sender) stop(t *testing.T) map[string]sentSpan {
	t.Helper()
	close(s.quit)
	<-s.done
	s.posts.Wait()
	s.conn.Close()
	for _, err := range s.errs {
		t.Error(err)
	}
	return s.sent
}

func (s *sender) run() {
	defer close(s.done)
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	begun := time.Now()
	var soon, late lot
	for n := 0; ; n++ {
		select {
		case <-ticker.C:
		case <-s.quit:
			s.dispatch(soon, 0)
			s.dispatch(late, 0)
			return
		}
		to := &soon
		if n/4%2 == 1 {
			to = &late
		}
		if err := s.request(to, n); err != nil {
			s.failed(err)
			return
		}
		if time.Since(begun) > time.Second {
			s.dispatch(soon, 0)
			s.dispatch(late, 5*time.Second)
			begun, soon, late = time.Now(), lot{}, lot{}
		}
	}
}

// lot are spans that are sent together.
type lot struct {
	clients, servers []any
	origins          []origin // of the servers' spans
}

// request makes some requests and adds their spans to a lot.
func (s *sender) request(to *lot, n int) error {
	trace := fmt.Sprintf("%016x%016x", rand.Uint64(), rand.Uint64())
	parent, id := fmt.Sprintf("%016x", rand.Uint64()), fmt.Sprintf("%016x", rand.Uint64())
	start := time.Now()
	var first, last time.Time
	for last.Sub(start) < 50*time.Millisecond {
		if _, err := s.conn.Do("GET", "key:1"); err != nil {
			return err
		}
		if last = time.Now(); first.IsZero() {
			first = last
		}
		time.Sleep(10 * time.Millisecond)
	}
	to.clients = append(to.clients, span(trace, parent, "", 3, start, time.Now(), attr("db.system.name", "redis"), attr("server.port", 6379)))
	attributes := []any{attr("db.system.name", "redis")}
	from := []origin{ofServer, ofMain, ofBystander}[n%3]
	switch from {
	case ofMain:
		attributes = append(attributes, attr("thread.id", s.pid))
	case ofBystander:
		attributes = append(attributes, attr("thread.id", s.bystander))
	}
	served := span(trace, id, parent, 2, start, last, attributes...)
	served["events"] = []any{map[string]any{
		"timeUnixNano": nanos(first), "name": "first.reply", "attributes": []any{attr("n", n)},
	}}
	to.servers, to.origins = append(to.servers, served), append(to.origins, from)
	return nil
}

func span(trace, id, parent string, kind int, start, end time.Time, attributes ...any) map[string]any {
	return map[string]any{
		"traceId": trace, "spanId": id, "parentSpanId": parent, "name": "GET", "kind": kind, "flags": 257,
		"traceState": "vendor=1", "startTimeUnixNano": nanos(start), "endTimeUnixNano": nanos(end), "attributes": attributes,
		"status": map[string]any{"code": 1},
	}
}

func nanos(t time.Time) string { return strconv.FormatInt(t.UnixNano(), 10) }

func attr(key string, value any) any {
	if n, ok := value.(int); ok {
		return map[string]any{"key": key, "value": map[string]any{"intValue": strconv.Itoa(n)}}
	}
	return map[string]any{"key": key, "value": map[string]any{"stringValue": value}}
}

// dispatch sends a lot after a while, or when the sender stops.
func (s *sender) dispatch(l lot, delay time.Duration) {
	if len(l.clients) == 0 {
		return
	}
	number := s.lots
	s.lots++
	s.posts.Go(func() {
		select {
		case <-time.After(delay):
		case <-s.quit:
		}
		if err := s.post(l, number); err != nil {
			s.failed(err)
		}
	})
}

// post sends the spans of both services. Lots take turns in what redis's
// resource says of it.
func (s *sender) post(l lot, number int) error {
	redis := []any{attr("service.name", "redis"), attr("service.instance.id", "made-up-by-an-sdk")}
	if number/2%2 == 1 {
		host, err := os.Hostname()
		if err != nil {
			return err
		}
		redis = []any{attr("service.name", "redis"), attr("host.name", host), attr("process.pid", s.pid)}
	}
	group := func(spans []any, resource ...any) any {
		return map[string]any{
			"resource":   map[string]any{"attributes": resource},
			"scopeSpans": []any{map[string]any{"scope": map[string]any{"name": "e2e", "version": "1"}, "spans": spans}},
		}
	}
	body, err := json.Marshal(map[string]any{"resourceSpans": []any{
		group(l.clients, attr("service.name", "e2e-shop")), group(l.servers, redis...),
	}})
	if err != nil {
		return err
	}
	spans, err := agent.ParseSpans(body)
	if err != nil {
		return err
	}
	s.mu.Lock()
	for i, sp := range spans {
		from := ofClient
		if i >= len(l.clients) {
			from = l.origins[i-len(l.clients)]
		}
		s.sent[sp.SpanID] = sentSpan{Span: sp, origin: from}
	}
	s.mu.Unlock()
	response, err := s.http.Post(s.url, "application/json", bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("the collector answers %s to spans", response.Status)
	}
	return nil
}

func (s *sender) failed(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.errs = append(s.errs, err)
}
