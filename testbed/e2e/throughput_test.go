//go:build linux

package e2e

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/perfscope/perfscope/testbed/agent"
)

const (
	spansPerSecond = 20_000
	spansPerBatch  = 500 // about what SDKs send at once
	sendFor        = 12 * time.Second
	// leastThroughput is which part of what passes without the processor must
	// pass with it.
	leastThroughput = 0.9
)

// TestThroughputOfSpans sends 20,000 spans a second of a watched service, all
// of which wait for its judgement, through the shipped configuration, and as
// many through the same without the processor.
func TestThroughputOfSpans(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute")
	}
	needRoot(t)
	startRedis(t)
	without := passed(t, "yaml:service::pipelines::traces::processors: [memory_limiter]")
	with := passed(t)
	t.Logf("spans per second: %.0f without the processor, %.0f with it", without.perSecond, with.perSecond)
	t.Logf("CPU time: %s without, %s with; most memory: %d MiB without, %d MiB with", without.cpu, with.cpu, without.memory>>20, with.memory>>20)
	if with.perSecond < leastThroughput*without.perSecond || without.perSecond < spansPerSecond/2 {
		t.Errorf("%.0f spans per second pass with the processor, %.0f without", with.perSecond, without.perSecond)
	}
	if with.held < spansPerSecond {
		t.Errorf("only %.0f spans were held at once: they did not wait", with.held)
	}
}

type throughput struct {
	perSecond, held float64
	cpu             time.Duration
	memory          int64 // largest resident set, bytes
}

// passed sends spans for a while, and counts those that left the collector.
func passed(t *testing.T, overlays ...string) (out throughput) {
	t.Helper()
	otlp := freeAddr(t)
	a, err := agent.Start(t.Context(), agent.Config{
		Binary: binary, File: config, Out: t.TempDir(), Overlays: overlays, Env: []string{"PERFSCOPE_OTLP_GRPC_ENDPOINT=" + otlp},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Stop()
	time.Sleep(3 * time.Second) // the redis is known by then
	sent := send(t, otlp)
	if metrics, err := a.Metrics(t.Context()); err == nil {
		out.held = agent.Total(metrics, "processor_perfscope_spans_held")
	}
	// The last of them wait for up to span_wait::timeout.
	left := 0.0
	for deadline := time.Now().Add(15 * time.Second); left < sent && time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		metrics, err := a.Metrics(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		left = agent.Total(metrics, "exporter_sent_spans")
	}
	out.perSecond = left / sendFor.Seconds()
	out.cpu, out.memory = usage(t, a.PID())
	if left < sent {
		t.Errorf("%.0f spans were taken, %.0f left", sent, left)
	}
	return out
}

// send sends spans at a steady pace over four connections; it returns how many
// were taken.
func send(t *testing.T, addr string) float64 {
	t.Helper()
	const senders = 4
	doc := busySpans()
	var mu sync.Mutex
	var taken float64
	var wg sync.WaitGroup
	for range senders {
		conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			defer conn.Close()
			client := ptraceotlp.NewGRPCClient(conn)
			ticker := time.NewTicker(senders * spansPerBatch * time.Second / spansPerSecond)
			defer ticker.Stop()
			for end := time.Now().Add(sendFor); time.Now().Before(end); <-ticker.C {
				td := ptrace.NewTraces()
				doc.CopyTo(td)
				stamp(td, time.Now())
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				_, err := client.Export(ctx, ptraceotlp.NewExportRequestFromTraces(td))
				cancel()
				if err != nil {
					continue // counted by not being taken
				}
				mu.Lock()
				taken += spansPerBatch
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return taken
}

// busySpans are a batch of redis's spans with the attributes that servers' have.
func busySpans() ptrace.Traces {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", "redis")
	spans := rs.ScopeSpans().AppendEmpty().Spans()
	for i := range spansPerBatch {
		s := spans.AppendEmpty()
		s.SetTraceID(pcommon.TraceID{byte(i), byte(i >> 8), 1})
		s.SetSpanID(pcommon.SpanID{byte(i), byte(i >> 8), 1})
		s.SetName("GET")
		s.SetKind(ptrace.SpanKindServer)
		for key, v := range map[string]string{
			"db.system.name": "redis", "db.operation.name": "GET", "db.query.text": "GET ?", "client.address": "10.1.2.3", "network.transport": "tcp",
		} {
			s.Attributes().PutStr(key, v)
		}
	}
	return td
}

func stamp(td ptrace.Traces, now time.Time) {
	for _, s := range td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().All() {
		s.SetStartTimestamp(pcommon.NewTimestampFromTime(now.Add(-time.Millisecond)))
		s.SetEndTimestamp(pcommon.NewTimestampFromTime(now))
	}
}

// usage is the CPU time and the largest resident set of a process so far.
func usage(t *testing.T, pid int) (cpu time.Duration, memory int64) {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+2:]))
	for _, f := range fields[11:13] { // utime, stime in ticks of 10 ms
		n, _ := strconv.ParseInt(f, 10, 64)
		cpu += time.Duration(n) * 10 * time.Millisecond
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			n, _ := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			memory = n << 10
		}
	}
	return cpu, memory
}
