//go:build linux && (amd64 || arm64)

package syscallreceiver

import (
	"bufio"
	"context"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/receiver/receivertest"
	"golang.org/x/sys/unix"

	"github.com/perfscope/perfscope/internal/syscalltrace"
	"github.com/perfscope/perfscope/receiver/syscallreceiver/internal/metadata"
)

// The traced program is this test binary, told by its environment to make
// known calls when it reads a line.
const programEnv = "PERFSCOPE_TRACED_PROGRAM"

const (
	goodCalls = 2000
	badCalls  = 50
	longCall  = 1200 * time.Millisecond
)

func init() {
	if os.Getenv(programEnv) != "" {
		tracedProgram()
		os.Exit(0)
	}
}

func tracedProgram() {
	runtime.LockOSThread()
	in := bufio.NewReader(os.Stdin)
	os.Stdout.WriteString("ready\n")
	if _, err := in.ReadString('\n'); err != nil {
		return
	}
	makeGoodCalls()
	for range badCalls {
		_ = unix.Fchdir(-1)
	}
	longNap()
	os.Stdout.WriteString("done\n")
	_, _ = in.ReadString('\n')
}

//go:noinline
func makeGoodCalls() {
	for range goodCalls {
		unix.Getppid()
	}
}

//go:noinline
func longNap() {
	ts := unix.NsecToTimespec(int64(longCall))
	_ = unix.ClockNanosleep(unix.CLOCK_MONOTONIC, 0, &ts, nil)
}

func TestKernel(t *testing.T) {
	exe, err := os.Executable()
	require.NoError(t, err)
	program := exec.Command(exe)
	program.Env = append(os.Environ(), programEnv+"=1", "OTEL_SERVICE_NAME=traced-program")
	stdin, err := program.StdinPipe()
	require.NoError(t, err)
	stdout, err := program.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, program.Start())
	t.Cleanup(func() {
		_ = stdin.Close()
		_ = program.Wait()
	})
	out := bufio.NewReader(stdout)
	line := func() {
		_, err := out.ReadString('\n')
		require.NoError(t, err)
	}
	line()

	cfg := createDefaultConfig().(*Config)
	cfg.Targets = []TargetConfig{{OTelServiceName: "traced-*"}}
	cfg.FlushInterval, cfg.InFlightAfter = 200*time.Millisecond, 300*time.Millisecond
	cfg.Watch.SnapshotInterval = 50 * time.Millisecond
	cfg.Ring.RecordsPerCPU = 16384
	require.NoError(t, cfg.Validate())
	sink := &consumertest.LogsSink{}
	logs, err := NewFactory().CreateLogs(context.Background(), receivertest.NewNopSettings(metadata.Type), cfg, sink)
	require.NoError(t, err)
	if err := logs.Start(context.Background(), componenttest.NewNopHost()); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	r := logs.(*syscallReceiver)
	require.Eventually(t, func() bool {
		r.run.gatherer.mu.Lock()
		defer r.run.gatherer.mu.Unlock()
		target := r.run.gatherer.targets[int32(program.Process.Pid)]
		return target != nil && target.followed && len(r.run.gatherer.orders) == 0 && target.counted
	}, 10*time.Second, 10*time.Millisecond, "the program was not found")
	_, err = io.WriteString(stdin, "go\n")
	require.NoError(t, err)
	line()
	require.NoError(t, logs.Shutdown(context.Background()))

	got := map[string]int{}
	var napFrames, callFrames []string
	var cpu, traced time.Duration
	dropped := map[string]uint64{}
	for _, l := range sink.AllLogs() {
		attrs := l.ResourceLogs().At(0).Resource().Attributes().AsRaw()
		require.Equal(t, "traced-program", attrs["service.name"])
		require.Equal(t, int64(program.Process.Pid), attrs["process.pid"])
		require.Equal(t, exe, attrs["process.executable.path"])
		require.Equal(t, "go", attrs["process.runtime.name"])
		require.NotEmpty(t, attrs["service.instance.id"])
		require.Len(t, attrs, len(attrs))
		for _, d := range decode(t, l) {
			for _, c := range d.coverage {
				cpu += c.CPUTime
				traced += c.Traced
				for reason, n := range c.Dropped {
					dropped[reason] += n
				}
				assert.Positive(t, c.Functions)
			}
			for _, b := range d.batches {
				for _, e := range b.Events {
					var frames string
					if e.Stack > 0 {
						frames = framesOf(b.Stacks[e.Stack-1])
					}
					switch {
					case e.Number == unix.SYS_GETPPID && e.Kind == syscalltrace.KindCall:
						got["good"]++
						assert.Equal(t, int32(os.Getpid()), e.Return)
						if frames != "" {
							callFrames = append(callFrames, frames)
						}
					case e.Number == unix.SYS_FCHDIR && e.Kind == syscalltrace.KindCall:
						got["bad"]++
						assert.Equal(t, -int32(unix.EBADF), e.Return)
					case e.Number == unix.SYS_CLOCK_NANOSLEEP && e.Duration >= int64(longCall) && e.Kind == syscalltrace.KindCall:
						got["nap"]++
					case e.Number == unix.SYS_CLOCK_NANOSLEEP && e.Kind == syscalltrace.KindInFlight:
						got["nap in flight"]++
						assert.GreaterOrEqual(t, e.Duration, int64(300*time.Millisecond))
						napFrames = append(napFrames, frames)
					case e.Number == unix.SYS_CLOCK_NANOSLEEP && e.Kind == syscalltrace.KindBlocked:
						got["nap blocked"]++
					}
				}
			}
		}
	}
	t.Logf("events %v, dropped %v, cpu %v, traced %v", got, dropped, cpu, traced)
	assert.Empty(t, dropped)
	assert.Equal(t, goodCalls, got["good"])
	assert.Equal(t, badCalls, got["bad"])
	assert.Equal(t, 1, got["nap"], "the call in flight comes once more when it returns")
	assert.GreaterOrEqual(t, got["nap in flight"], 2)
	assert.GreaterOrEqual(t, got["nap blocked"], 5)
	require.NotEmpty(t, callFrames)
	for _, frames := range callFrames {
		assert.Contains(t, frames, "makeGoodCalls")
	}
	require.NotEmpty(t, napFrames)
	assert.Contains(t, strings.Join(napFrames, "\n"), "longNap")
	assert.Greater(t, traced, longCall)
	assert.Positive(t, cpu)
}
