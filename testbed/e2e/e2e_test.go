//go:build linux

package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/perfscope/perfscope/testbed/agent"
	"github.com/perfscope/perfscope/testbed/load"
	"github.com/perfscope/perfscope/testbed/scenario"
)

var (
	binary = filepath.Join("..", "..", "bin", "otelcol-perfscope")
	config = filepath.Join("..", "..", "config", "agent.yaml")
)

func TestMain(m *testing.M) {
	if _, err := os.Stat(binary); err != nil {
		os.Stderr.WriteString("the collector is not built: run `make build`, or `make e2e`\n")
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: loading eBPF programs")
	}
}

func TestComponents(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), binary, "components").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, part := range []string{
		"name: syscall\n", "name: perfscope\n", "name: otlp\n", "name: batch\n",
		"name: memory_limiter\n", "name: debug\n", "name: file\n", "name: signature\n", "name: file_storage\n", "name: otlp_grpc\n", "name: otlp_http\n",
	} {
		if !strings.Contains(string(out), part) {
			t.Errorf("%q is not among the components:\n%s", strings.TrimSpace(part), out)
		}
	}
}

func TestValidate(t *testing.T) {
	for _, tc := range []struct {
		name string
		args []string
		want string // of the error; empty is valid
	}{
		{"shipped", nil, ""},
		{"wrong mode", []string{"--config", "yaml:receivers::syscall::mode: always"}, "mode"},
		{"no target", []string{"--config", "yaml:receivers::syscall::targets: [{}]"}, "targets"},
		{"signatures", []string{"--config", filepath.Join(filepath.Dir(config), "signatures.yaml")}, ""},
		{"learning", []string{"--config", "yaml:processors::perfscope::signatures: {learn: true, storage: file_storage}",
			"--config", "yaml:extensions::file_storage::directory: " + os.TempDir(), "--config", "yaml:service::extensions: [file_storage]"}, ""},
		{"storage for nothing", []string{"--config", "yaml:processors::perfscope::signatures::storage: file_storage"}, "learn"},
		{"wrong hop", []string{"--config", "yaml:processors::perfscope::hop: -1s"}, "hop"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			args := append([]string{"validate", "--config", config}, tc.args...)
			out, err := exec.CommandContext(t.Context(), binary, args...).CombinedOutput()
			if tc.want == "" && err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			if tc.want != "" && (err == nil || !strings.Contains(string(out), tc.want)) {
				t.Errorf("error %v does not name %q: %s", err, tc.want, out)
			}
		})
	}
}

// startRedis starts the demo's redis with its load.
func startRedis(t *testing.T) scenario.Workload {
	t.Helper()
	return startScenario(t, scenario.Demo())
}

// startScenario starts the server of a scenario under its load.
func startScenario(t *testing.T, sc scenario.Scenario) scenario.Workload {
	t.Helper()
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
	return w
}

// TestShippedConfiguration runs what a user runs for twelve seconds.
func TestShippedConfiguration(t *testing.T) {
	needRoot(t)
	startRedis(t)
	a, err := agent.Start(t.Context(), agent.Config{Binary: binary, File: config, Out: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Stop()
	time.Sleep(12 * time.Second)
	metrics, err := a.Metrics(t.Context())
	if err != nil {
		t.Error(err)
	}
	if !strings.Contains(metrics, "processor_perfscope_events") {
		t.Errorf("no events reached the processor; metrics:\n%s", metrics)
	}
	if err := a.Stop(); err != nil {
		t.Errorf("SIGTERM does not end it with 0: %v", err)
	}
	log, err := os.ReadFile(a.Log)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(log)) {
		// A process that even root may not look at is the machine's.
		if strings.Contains(line, "not every process can be judged") {
			continue
		}
		if fields := strings.Split(line, "\t"); len(fields) > 1 && (fields[1] == "error" || fields[1] == "warn") {
			t.Errorf("the log complains: %s", line)
		}
	}
}

const eventConfig = `
receivers:
  syscall:
    mode: continuous
    format: event
    targets:
      - executable: redis-check-rdb
        service_name: redis-under-test
      - executable: redis-server
        service_name: redis-under-test
    stacks:
      every: 4
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

// TestRecords looks at the records themselves: the calls of a known server
// under a known load, with the functions that made them.
func TestRecords(t *testing.T) {
	needRoot(t)
	w := startRedis(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "event.yaml")
	if err := os.WriteFile(file, []byte(eventConfig), 0o644); err != nil {
		t.Fatal(err)
	}
	a, err := agent.Start(t.Context(), agent.Config{Binary: binary, File: file, Out: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Stop()
	time.Sleep(8 * time.Second)
	if err := a.Stop(); err != nil {
		t.Error(err)
	}
	calls, stacks := readCalls(t, a.AnomalyFile, w.Server.PID())
	t.Logf("calls: %v", calls)
	for _, name := range []string{"read", "write", "epoll_wait"} {
		if calls[name] < 500 {
			t.Errorf("only %d calls of %s in 8 s at %.0f requests per second", calls[name], name, w.Load.Rate)
		}
	}
	for _, function := range []string{"readQueryFromClient", "aeMain", "flushAppendOnlyFile"} {
		if !strings.Contains(stacks, function) {
			t.Errorf("no stack holds %s", function)
		}
	}
}

// readCalls counts the calls of one process by name, and returns its stacks
// as one text.
func readCalls(t *testing.T, path string, pid int) (calls map[string]int, stacks string) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	type value struct {
		String string      `json:"stringValue"`
		Int    json.Number `json:"intValue"`
	}
	type attributes []struct {
		Key   string `json:"key"`
		Value value  `json:"value"`
	}
	get := func(list attributes, key string) value {
		for _, a := range list {
			if a.Key == key {
				return a.Value
			}
		}
		return value{}
	}
	calls = map[string]int{}
	var text strings.Builder
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 256<<20)
	for lines.Scan() {
		var d struct {
			ResourceLogs []struct {
				Resource  struct{ Attributes attributes }
				ScopeLogs []struct {
					LogRecords []struct {
						EventName  string
						Attributes attributes
					}
				}
			}
		}
		if err := json.Unmarshal(lines.Bytes(), &d); err != nil {
			t.Fatal(err)
		}
		for _, rl := range d.ResourceLogs {
			if n, _ := get(rl.Resource.Attributes, "process.pid").Int.Int64(); int(n) != pid {
				continue
			}
			if name := get(rl.Resource.Attributes, "service.name").String; name != "redis-under-test" {
				t.Fatalf("service.name is %q", name)
			}
			for _, sl := range rl.ScopeLogs {
				for _, r := range sl.LogRecords {
					if r.EventName == "perfscope.syscall" {
						calls[get(r.Attributes, "perfscope.syscall.name").String]++
						text.WriteString(get(r.Attributes, "code.stacktrace").String)
					}
				}
			}
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return calls, text.String()
}

const pidConfig = `
receivers:
  syscall:
    mode: continuous
    targets:
      - pid: ${env:TARGET}
processors:
  perfscope:
exporters:
  file:
    path: ${env:PERFSCOPE_ANOMALY_FILE}
service:
  telemetry:
    metrics:
      readers:
        - pull:
            exporter:
              prometheus:
                host: localhost
                port: ${env:PERFSCOPE_METRICS_PORT}
  pipelines:
    logs:
      receivers: [syscall]
      processors: [perfscope]
      exporters: [file]
`

// TestTargetEnds ends a target in the middle of a window: the receiver lets
// go of it.
func TestTargetEnds(t *testing.T) {
	needRoot(t)
	w := startRedis(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "pid.yaml")
	if err := os.WriteFile(file, []byte(pidConfig), 0o644); err != nil {
		t.Fatal(err)
	}
	a, err := agent.Start(t.Context(), agent.Config{
		Binary: binary, File: file, Out: dir, Env: []string{fmt.Sprintf("TARGET=%d", w.Server.PID())},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Stop()
	await := func(what string, processes, threads func(float64) bool) {
		t.Helper()
		var p, n float64
		for deadline := time.Now().Add(15 * time.Second); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
			metrics, err := a.Metrics(t.Context())
			if err != nil {
				continue // the listener may not be up yet
			}
			p, n = agent.Total(metrics, "receiver_syscall_processes"), agent.Total(metrics, "receiver_syscall_threads")
			if processes(p) && threads(n) {
				return
			}
		}
		t.Errorf("%s: %v processes and %v threads after 15 s", what, p, n)
	}
	some, none := func(n float64) bool { return n > 0 }, func(n float64) bool { return n == 0 }
	await("while it runs", some, some)
	if err := w.Server.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	await("after its end", none, none)
	if err := a.Stop(); err != nil {
		t.Error(err)
	}
}

// TestWithoutCapabilities starts the collector as an account that may do
// nothing: it must say what it lacks and how to grant it.
func TestWithoutCapabilities(t *testing.T) {
	needRoot(t)
	// The checkout may lie where other accounts can't look.
	dir, err := os.MkdirTemp("/var/tmp", "perfscope-e2e-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	for from, to := range map[string]string{binary: "otelcol", config: "agent.yaml"} {
		data, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, to), data, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	a, err := agent.Start(t.Context(), agent.Config{
		Binary: filepath.Join(dir, "otelcol"), File: filepath.Join(dir, "agent.yaml"), Out: dir, User: "nobody",
	})
	if err == nil {
		a.Stop()
		t.Fatal("it started")
	}
	for _, part := range []string{"CAP_BPF", "CAP_PERFMON", "setcap", "syscall"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the error does not mention %s: %v", part, err)
		}
	}
}

// TestKilled ends the collector with -9: the kernel must not keep its programs.
func TestKilled(t *testing.T) {
	needRoot(t)
	startRedis(t)
	a, err := agent.Start(t.Context(), agent.Config{Binary: binary, File: config, Out: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Stop()
	time.Sleep(3 * time.Second)
	loaded := programs(t, a.PID())
	if len(loaded) == 0 {
		t.Fatal("the running collector holds no eBPF program: the test looks in the wrong place")
	}
	t.Logf("%d programs while it runs", len(loaded))
	if err := a.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-a.Done()
	deadline := time.Now().Add(10 * time.Second)
	for {
		left := stillLoaded(t, loaded)
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("programs still loaded 10 s after kill -9: %v", left)
		}
		time.Sleep(100 * time.Millisecond)
	}
}
