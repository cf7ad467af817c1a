package tail

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"

	"github.com/perfscope/perfscope/testbed/load"
	"github.com/perfscope/perfscope/testbed/server"
)

// exporter sends the spans of an instrumented client as SDKs do, every so often.
type exporter struct {
	url string
	// every is how often.
	every time.Duration

	mu    sync.Mutex
	spans ptrace.Traces
	list  ptrace.SpanSlice
	sent  int
	err   error
	// slow has the ids of the spans that went the slow way.
	slow map[string]bool
}

func newExporter(endpoint string) *exporter {
	e := &exporter{url: "http://" + endpoint + "/v1/traces", every: 2 * time.Second, slow: map[string]bool{}}
	e.renew()
	return e
}

func (e *exporter) renew() {
	e.spans = ptrace.NewTraces()
	rs := e.spans.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", "shopfront")
	e.list = rs.ScopeSpans().AppendEmpty().Spans()
}

// add records a request to a server as a client's span.
func (e *exporter) add(start, end time.Time, server string, slow bool) {
	host, port, _ := net.SplitHostPort(server)
	number, _ := strconv.Atoi(port)
	var trace pcommon.TraceID
	var id pcommon.SpanID
	binary.LittleEndian.PutUint64(trace[:], rand.Uint64())
	binary.LittleEndian.PutUint64(trace[8:], rand.Uint64())
	binary.LittleEndian.PutUint64(id[:], rand.Uint64())
	e.mu.Lock()
	defer e.mu.Unlock()
	if slow {
		e.slow[id.String()] = true
	}
	span := e.list.AppendEmpty()
	span.SetTraceID(trace)
	span.SetSpanID(id)
	span.SetKind(ptrace.SpanKindClient)
	span.SetName("GET /item/{id}")
	span.SetStartTimestamp(pcommon.NewTimestampFromTime(start))
	span.SetEndTimestamp(pcommon.NewTimestampFromTime(end))
	span.Attributes().PutStr("server.address", host)
	span.Attributes().PutInt("server.port", int64(number))
}

// run sends until the context ends, and then the rest.
func (e *exporter) run(ctx context.Context) {
	ticker := time.NewTicker(e.every)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			e.send()
		case <-ctx.Done():
			e.send()
			return
		}
	}
}

func (e *exporter) send() {
	e.mu.Lock()
	spans, n := e.spans, e.list.Len()
	e.renew()
	e.mu.Unlock()
	if n == 0 {
		return
	}
	err := post(e.url, spans)
	e.mu.Lock()
	defer e.mu.Unlock()
	if err != nil {
		e.err = err
		return
	}
	e.sent += n
}

func post(url string, spans ptrace.Traces) error {
	body, err := ptraceotlp.NewExportRequestFromTraces(spans).MarshalProto()
	if err != nil {
		return err
	}
	answer, err := http.Post(url, "application/x-protobuf", bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	_, _ = io.Copy(io.Discard, answer.Body)
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, answer.Status)
	}
	return nil
}

// visitor is one connection of a load.
type visitor struct {
	asker
	server   string
	permille int
	exporter *exporter
}

func (sc *Scenario) dial(s *server.Server, permille int, e *exporter) func() (load.Client, error) {
	to := sc.Dial
	if to == nil {
		to = byItem
	}
	return func() (load.Client, error) {
		a, err := to(s)
		if err != nil {
			return nil, err
		}
		return &visitor{asker: a, server: s.Addr, permille: permille, exporter: e}, nil
	}
}

func (c *visitor) Request(r *rand.Rand) error {
	id := 1000*(1+r.IntN(50)) + r.IntN(1000)
	slow := id%1000 < c.permille
	start := time.Now()
	if err := c.ask(id, slow); err != nil {
		return err
	}
	c.exporter.add(start, time.Now(), c.server, slow)
	return nil
}

func (c *visitor) Close() error { return c.close() }

// byItem asks a server of the testbed's own, which knows which items are slow.
func byItem(s *server.Server) (asker, error) {
	c := newHTTP()
	ask := func(id int, _ bool) error {
		status, err := get(c, fmt.Sprintf("http://%s/item/%d", s.Addr, id))
		if err == nil && status != http.StatusOK {
			err = fmt.Errorf("status %d", status)
		}
		return err
	}
	return asker{ask: ask, close: func() error { c.CloseIdleConnections(); return nil }}, nil
}

func newHTTP() *http.Client {
	return &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1}, Timeout: 20 * time.Second}
}

// get reads an answer, whichever it is.
func get(c *http.Client, url string) (status int, err error) {
	answer, err := c.Get(url)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	_, err = io.Copy(io.Discard, answer.Body)
	return answer.StatusCode, err
}
