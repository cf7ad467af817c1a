//go:build linux && (amd64 || arm64)

package syscallreceiver

import (
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perfscope/perfscope/pkg/threadtrace"
	"github.com/perfscope/perfscope/pkg/threadtrace/tracelog"
)

// TestKernelPod: what a program in a network namespace of its own waits for at its peer, and
// who waits for it, is told.
func TestKernelPod(t *testing.T) {
	for _, tool := range []string{"/usr/bin/unshare", "/usr/bin/python3"} {
		if _, err := os.Stat(tool); err != nil {
			require.NotEqual(t, "true", os.Getenv("CI"), "%v", err)
			t.Skip(err)
		}
	}
	p := startProgram(t, "/usr/bin/unshare", "-n", "/usr/bin/python3", "-c", `
import fcntl, socket, struct, sys, time
server = socket.create_server(("127.0.0.1", 7777))
fcntl.ioctl(server, 0x8914, struct.pack("16sH14x", b"lo", 1)) # SIOCSIFFLAGS, IFF_UP
print("ready", flush=True)
sys.stdin.readline()
client = socket.create_connection(("127.0.0.1", 7777))
accepted = server.accept()
time.sleep(0.05)
client.send(b"question")
time.sleep(4)
print("done", flush=True)
sys.stdin.readline()`, "marker-of-the-pod")
	told := map[threadtrace.Measure]time.Duration{}
	for _, ld := range p.record(func(c *Config) { c.Targets = []TargetConfig{{Command: "marker-of-the-pod$"}} }) {
		for _, rl := range ld.ResourceLogs().All() {
			require.Empty(t, tracelog.Decode(rl.ScopeLogs().At(0).LogRecords(), tracelog.Handler{
				Machine: func(m *threadtrace.Machine) {
					for _, r := range m.Readings {
						if r.Resource == "" || r.Resource == "127.0.0.1:7777" {
							told[r.Measure] += time.Duration(r.Value)
						}
					}
				},
			}))
		}
	}
	assert.InDelta(t, 4, told[threadtrace.MeasurePeerWait].Seconds(), 2)
	assert.InDelta(t, 4, told[threadtrace.MeasureClientWait].Seconds(), 2)
}

// TestKernelStopped: the time in which a program is stopped is told as that, and not as
// time in the call that it was in.
func TestKernelStopped(t *testing.T) {
	p := startProgram(t, "/bin/sh", "-c", "echo ready; read go; sleep 4; echo done; read stop", "marker-of-the-stopped")
	const stopped = 2 * time.Second
	var from, to int64
	all := p.record(func(c *Config) { c.Targets = []TargetConfig{{Command: "marker-of-the-stopped$"}} }, func() {
		time.Sleep(time.Second)
		assert.NoError(t, p.Process.Signal(syscall.SIGSTOP))
		from = time.Now().UnixNano()
		time.Sleep(stopped)
		to = time.Now().UnixNano()
		assert.NoError(t, p.Process.Signal(syscall.SIGCONT))
	})
	var told time.Duration
	records, blocked := 0, 0
	for _, ld := range all {
		for _, rl := range ld.ResourceLogs().All() {
			errs := tracelog.Decode(rl.ScopeLogs().At(0).LogRecords(), tracelog.Handler{
				Machine: func(m *threadtrace.Machine) {
					records++
					for _, r := range m.Readings {
						if r.Measure == threadtrace.MeasureStopped {
							told += time.Duration(r.Value)
						}
					}
				},
				Batch: func(_ string, b *threadtrace.Batch) {
					for _, e := range b.Events {
						if e.Kind == threadtrace.KindBlocked && int(b.ThreadID) == p.Process.Pid && e.Time > from+int64(500*time.Millisecond) && e.Time < to {
							blocked++
						}
					}
				},
			})
			require.Empty(t, errs)
		}
	}
	assert.NotZero(t, records)
	assert.Zero(t, blocked, "it is seen waiting in a call while it is stopped")
	assert.InDelta(t, stopped.Seconds(), told.Seconds(), 0.5*stopped.Seconds())
}
