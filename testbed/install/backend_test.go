package install

import (
	"context"
	"net"
	"slices"
	"sync"
	"testing"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
	_ "google.golang.org/grpc/encoding/gzip" // as the collector sends it
	"google.golang.org/grpc/metadata"
)

// backend takes OTLP and keeps the anomalies and the spans.
type backend struct {
	mu        sync.Mutex
	anomalies []told
	spans     []ptrace.Span
	// key is the authorization that the spans came with.
	key string
}

// told is an anomaly with its resource.
type told struct {
	resource pcommon.Map
	record   plog.LogRecord
}

// startBackend listens on a port, 0 for a free one, until the test ends.
func startBackend(t *testing.T, ip, port string) (b *backend, url string) {
	t.Helper()
	listener, err := net.Listen("tcp", net.JoinHostPort(ip, port)) //nolint:noctx // at once
	if err != nil {
		t.Fatal(err)
	}
	b = &backend{}
	server := grpc.NewServer()
	plogotlp.RegisterGRPCServer(server, &takeLogs{backend: b})
	ptraceotlp.RegisterGRPCServer(server, &takeTraces{backend: b})
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return b, "http://" + listener.Addr().String()
}

type takeLogs struct {
	plogotlp.UnimplementedGRPCServer
	*backend
}

func (s *takeLogs) Export(_ context.Context, request plogotlp.ExportRequest) (plogotlp.ExportResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, rl := range request.Logs().ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			for _, record := range sl.LogRecords().All() {
				if record.EventName() == "perfscope.anomaly" {
					s.anomalies = append(s.anomalies, told{rl.Resource().Attributes(), record})
				}
			}
		}
	}
	return plogotlp.NewExportResponse(), nil
}

type takeTraces struct {
	ptraceotlp.UnimplementedGRPCServer
	*backend
}

func (s *takeTraces) Export(ctx context.Context, request ptraceotlp.ExportRequest) (ptraceotlp.ExportResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if with, _ := metadata.FromIncomingContext(ctx); len(with.Get("authorization")) > 0 {
		s.key = with.Get("authorization")[0]
	}
	for _, rs := range request.Traces().ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, span := range ss.Spans().All() {
				s.spans = append(s.spans, span)
			}
		}
	}
	return ptraceotlp.NewExportResponse(), nil
}

// look is what has come so far.
func (b *backend) look() ([]told, []ptrace.Span) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.anomalies), slices.Clone(b.spans)
}

func (b *backend) authorization() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.key
}
