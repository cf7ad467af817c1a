//go:build linux

package e2e

import (
	"bufio"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/perfscope/perfscope/testbed/agent"
	"github.com/perfscope/perfscope/testbed/server"
)

// TestTraceContext sends requests with a traceparent to an nginx, and looks for
// their ids in the records: there, when they were asked for, and else not.
func TestTraceContext(t *testing.T) {
	needRoot(t)
	nginx, err := server.StartNginx(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := nginx.Stop(); err != nil {
			t.Error(err)
		}
	})
	for option, want := range map[string]int{"payload": 20, "none": 0} {
		t.Run(option, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, "config.yaml")
			if err := os.WriteFile(file, []byte(pidConfig), 0o644); err != nil {
				t.Fatal(err)
			}
			a, err := agent.Start(t.Context(), agent.Config{
				Binary: binary, File: file, Out: dir, Env: []string{"TARGET=1"},
				Overlays: []string{
					"yaml:receivers::syscall::targets: [{executable: nginx}]",
					"yaml:receivers::syscall::trace_context: " + option,
					"yaml:receivers::syscall::format: event",
					"yaml:processors::perfscope::forward_syscalls: true",
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			defer a.Stop()
			time.Sleep(time.Second) // the workers are followed by then
			for i := range byte(20) {
				request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+nginx.Addr+"/", nil)
				if err != nil {
					t.Fatal(err)
				}
				request.Header.Set("Traceparent", fmt.Sprintf("00-%032x-%016x-01", 0xabc000+int(i), 1+int(i)))
				response, err := http.DefaultClient.Do(request)
				if err != nil {
					t.Fatal(err)
				}
				response.Body.Close()
			}
			time.Sleep(1500 * time.Millisecond) // a flush
			if err := a.Stop(); err != nil {
				t.Error(err)
			}
			got := contexts(t, a.AnomalyFile)
			for i := range byte(20) {
				id := pcommon.TraceID{13: 0xab, 14: 0xc0, 15: i}
				if span, there := got[id]; there != (want > 0) || there && span != (pcommon.SpanID{7: 1 + i}) {
					t.Errorf("request %d: %v, %v", i, span, there)
				}
			}
			if len(got) != want {
				t.Errorf("%d requests are told, want %d", len(got), want)
			}
		})
	}
}

// contexts reads the trace contexts among the records in a file: the caller's
// span by trace.
func contexts(t *testing.T, path string) map[pcommon.TraceID]pcommon.SpanID {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	found := map[pcommon.TraceID]pcommon.SpanID{}
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 256<<20)
	for lines.Scan() {
		ld, err := (&plog.JSONUnmarshaler{}).UnmarshalLogs(lines.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		for _, rl := range ld.ResourceLogs().All() {
			for _, sl := range rl.ScopeLogs().All() {
				for _, rec := range sl.LogRecords().All() {
					kind, _ := rec.Attributes().Get("perfscope.syscall.kind")
					if rec.EventName() == "perfscope.syscall" && kind.AsString() == "trace_context" {
						found[rec.TraceID()] = rec.SpanID()
					}
				}
			}
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return found
}
