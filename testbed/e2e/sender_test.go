//go:build linux

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/perfscope/perfscope/testbed/agent"
	"github.com/perfscope/perfscope/testbed/client"
	"github.com/perfscope/perfscope/testbed/server"
)

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
