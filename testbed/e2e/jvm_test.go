//go:build linux

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/perfscope/perfscope/internal/stack/stacktest"
	"github.com/perfscope/perfscope/testbed/agent"
)

const jvmConfig = `
receivers:
  syscall:
    format: event
    targets: [pid: %d]
    jvm:
      perf_map_interval: 1s
exporters:
  file:
    path: ${env:PERFSCOPE_ANOMALY_FILE}
service:
  telemetry:
    metrics:
      level: none
  pipelines:
    logs:
      receivers: [syscall]
      exporters: [file]
`

// TestJavaHasNames has the receiver ask a JVM for the names of its compiled
// functions: nobody else does.
func TestJavaHasNames(t *testing.T) {
	needRoot(t)
	s := stacktest.JVM(t, "../../internal/stack/testdata/jvmserver/Cart.java", "com.shop.Cart::add")
	t.Cleanup(func() { _ = os.Remove(fmt.Sprintf("/tmp/perf-%d.map", s.PID)) })
	dir := t.TempDir()
	file := filepath.Join(dir, "jvm.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, jvmConfig, s.PID), 0o644); err != nil {
		t.Fatal(err)
	}
	a, err := agent.Start(t.Context(), agent.Config{Binary: binary, File: file, Out: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Stop()
	time.Sleep(6 * time.Second)
	if err := a.Stop(); err != nil {
		t.Error(err)
	}
	records, err := os.ReadFile(a.AnomalyFile)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(records), "com.shop.Cart.add ([jit])") {
		log, _ := os.ReadFile(a.Log)
		t.Errorf("no stack holds com.shop.Cart.add; the collector says:\n%s", log)
	}
}
