//go:build linux

package e2e

import (
	"path/filepath"
	"slices"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/perfscope/perfscope/testbed/agent"
	"github.com/perfscope/perfscope/testbed/server"
)

// TestGateway sends the built collector, with the shipped configuration of a
// gateway, what the agents of two hosts would: the front waits for a redis on
// another host, and both are abnormal.
func TestGateway(t *testing.T) {
	endpoint, err := server.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	spanFile := filepath.Join(dir, "spans.json")
	a, err := agent.Start(t.Context(), agent.Config{
		Binary: binary, File: filepath.Join("..", "..", "config", "gateway.yaml"), Out: dir,
		Overlays: []string{"yaml:processors::incident::span_wait::timeout: 2s"},
		Env: []string{
			"PERFSCOPE_GATEWAY_ENDPOINT=" + endpoint, "PERFSCOPE_SPAN_EXPORTERS=[file/spans]", "PERFSCOPE_SPAN_FILE=" + spanFile,
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Stop()
	conn, err := grpc.NewClient(endpoint, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()

	now := time.Now()
	traces := ptraceotlp.NewExportRequestFromTraces(waitingFront(now))
	if _, err := ptraceotlp.NewGRPCClient(conn).Export(t.Context(), traces); err != nil {
		t.Fatal(err)
	}
	for _, ld := range []plog.Logs{abnormal("front", "waitForReply", now), abnormal("redis", "keysCommand", now)} {
		if _, err := plogotlp.NewGRPCClient(conn).Export(t.Context(), plogotlp.NewExportRequestFromLogs(ld)); err != nil {
			t.Fatal(err)
		}
	}
	var spans []agent.Span
	var incidents []agent.Incident
	for deadline := time.Now().Add(20 * time.Second); len(spans) < 2 || len(incidents) == 0 || incidents[0].Causes[0].Role == "unlinked"; time.Sleep(200 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after 20 s the gateway wrote %d spans and the incidents %+v", len(spans), incidents)
		}
		spans, _ = agent.ReadSpans(spanFile) // not there at first
		incidents, _ = agent.ReadIncidents(a.AnomalyFile)
		slices.Reverse(incidents) // the first one is from before the trace is whole
	}
	if got := agent.RankOf(incidents[0].Causes, "redis", []string{"keysCommand"}); got != 1 || incidents[0].Causes[1].Role == "cause" {
		t.Errorf("redis is in place %d: %+v", got, incidents[0])
	}
	for _, s := range spans {
		want := map[string][2]string{"0100000000000000": {"waitForReply", "victim"}, "0200000000000000": {"keysCommand", "cause"}}[s.SpanID]
		if len(s.Anomalies) != 1 || s.Anomalies[0].Suspects[0].Function != want[0] || s.Anomalies[0].Role != want[1] {
			t.Errorf("span %s has %+v, want %v", s.SpanID, s.Anomalies, want)
		}
	}
	if err := a.Stop(); err != nil {
		t.Error(err)
	}
}

// waitingFront are the spans of a request that waits for redis nearly all of
// its time.
func waitingFront(now time.Time) ptrace.Traces {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", "front")
	spans := rs.ScopeSpans().AppendEmpty().Spans()
	span := func(id byte, kind ptrace.SpanKind, from, to time.Duration) ptrace.Span {
		s := spans.AppendEmpty()
		s.SetTraceID(pcommon.TraceID{1})
		s.SetSpanID(pcommon.SpanID{id})
		s.SetKind(kind)
		s.SetStartTimestamp(pcommon.NewTimestampFromTime(now.Add(from)))
		s.SetEndTimestamp(pcommon.NewTimestampFromTime(now.Add(to)))
		return s
	}
	span(1, ptrace.SpanKindServer, 0, 100*time.Millisecond)
	call := span(2, ptrace.SpanKindClient, 5*time.Millisecond, 95*time.Millisecond)
	call.SetParentSpanID(pcommon.SpanID{1})
	call.Attributes().PutStr("network.peer.address", "10.203.77.2")
	call.Attributes().PutInt("network.peer.port", 6379)
	return td
}

// abnormal is an anomaly as an agent tells it.
func abnormal(service, function string, now time.Time) plog.Logs {
	ld := plog.NewLogs()
	rl := ld.ResourceLogs().AppendEmpty()
	rl.Resource().Attributes().PutStr("service.name", service)
	rl.Resource().Attributes().PutStr("host.name", service+"-host")
	rl.Resource().Attributes().PutEmptySlice("host.ip").AppendEmpty().SetStr("10.203.77.2")
	if service == "redis" {
		rl.Resource().Attributes().PutEmptySlice("perfscope.process.listening").AppendEmpty().SetStr("[::]:6379")
	}
	rec := rl.ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	rec.SetEventName("perfscope.anomaly")
	attrs := rec.Attributes()
	rec.Body().SetStr(service + ": it is slow.")
	attrs.PutStr("perfscope.anomaly.id", "of "+service)
	attrs.PutStr("perfscope.anomaly.state", "raised")
	attrs.PutStr("code.function.name", function)
	attrs.PutDouble("perfscope.anomaly.score", 2)
	attrs.PutStr("perfscope.anomaly.start", now.Add(-2*time.Second).UTC().Format(time.RFC3339Nano))
	attrs.PutStr("perfscope.anomaly.end", now.Add(3*time.Second).UTC().Format(time.RFC3339Nano))
	suspect := attrs.PutEmptySlice("perfscope.suspects").AppendEmpty().SetEmptyMap()
	suspect.PutStr("code.function.name", function)
	suspect.PutDouble("perfscope.suspect.score", 0.9)
	return ld
}
