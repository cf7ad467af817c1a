//go:build linux && (amd64 || arm64)

package syscallreceiver

import (
	"bufio"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/receiver/receivertest"
	"golang.org/x/sys/unix"

	"github.com/perfscope/perfscope/internal/capture"
	"github.com/perfscope/perfscope/pkg/threadtrace"
	"github.com/perfscope/perfscope/receiver/syscallreceiver/internal/metadata"
)

// The traced program is this test binary, told by its environment to make
// known calls when it reads a line.
const programEnv = "PERFSCOPE_TRACED_PROGRAM"

const (
	goodCalls = 2000
	badCalls  = 50
	// floodCalls are as fast as they go, a million a second or more.
	floodCalls = 1_000_000
	longCall   = 1200 * time.Millisecond
	// steadyFor is longer than a burst and the pause after it.
	steadyFor = 3 * time.Second
	spinFor   = 400 * time.Millisecond
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
	switch os.Getenv(programEnv) {
	case "flood":
		for range floodCalls {
			unix.Getppid()
		}
	case "steady":
		for begun := time.Now(); time.Since(begun) < steadyFor; time.Sleep(time.Millisecond) {
			unix.Getppid()
		}
	}
	if os.Getenv(programEnv) != "1" {
		os.Stdout.WriteString("done\n")
		_, _ = in.ReadString('\n')
		return
	}
	makeGoodCalls()
	for range badCalls {
		_ = unix.Fchdir(-1)
	}
	spin()
	longNap()
	// In another flush: on a machine without CPU to spare the stacks of one may get
	// their names too late, which a delivery does not wait for.
	makeGoodCalls()
	os.Stdout.WriteString("done\n")
	_, _ = in.ReadString('\n')
}

//go:noinline
func makeGoodCalls() {
	for range goodCalls / 2 {
		unix.Getppid()
	}
}

// spin uses CPU time, not time: the machine of a test is busy. The race
// detector's own functions would hide it, which have no frame pointers.
//
//go:noinline
//go:norace
func spin() {
	for used := time.Duration(0); used < spinFor; {
		for range 1_000_000 {
			spun++
		}
		var u unix.Rusage
		_ = unix.Getrusage(unix.RUSAGE_THREAD, &u)
		used = time.Duration(u.Utime.Nano())
	}
}

var spun int

//go:noinline
func longNap() {
	ts := unix.NsecToTimespec(int64(longCall))
	_ = unix.ClockNanosleep(unix.CLOCK_MONOTONIC, 0, &ts, nil)
}

// program is a process that waits to be told.
type program struct {
	*exec.Cmd
	// needs are features without which the test is skipped on old kernels.
	needs []string
	t     *testing.T
	in    io.WriteCloser
	out   *bufio.Reader
}

func startProgram(t *testing.T, name string, args ...string) *program {
	return start(t, exec.Command(name, args...))
}

func start(t *testing.T, cmd *exec.Cmd) *program {
	p := &program{t: t, Cmd: cmd}
	// Go's own signals would end a nap early on a slow machine.
	p.Env = append(append(os.Environ(), programEnv+"=1", "OTEL_SERVICE_NAME=traced-program", "GODEBUG=asyncpreemptoff=1"), cmd.Env...)
	var err error
	p.in, err = p.StdinPipe()
	require.NoError(t, err)
	out, err := p.StdoutPipe()
	require.NoError(t, err)
	p.out = bufio.NewReader(out)
	require.NoError(t, p.Start())
	t.Cleanup(func() {
		_ = p.in.Close()
		_ = p.Wait()
	})
	p.line()
	return p
}

func (p *program) line() {
	_, err := p.out.ReadString('\n')
	require.NoError(p.t, err)
}

func (p *program) tell() {
	_, err := io.WriteString(p.in, "go\n")
	require.NoError(p.t, err)
}

// record has the program do its work while the receiver records it.
func (p *program) record(change func(*Config), meanwhile ...func()) []plog.Logs {
	t := p.t
	cfg := createDefaultConfig().(*Config)
	cfg.FlushInterval, cfg.InFlightAfter = 200*time.Millisecond, 300*time.Millisecond
	cfg.Mode = ModeContinuous // every call counts
	cfg.Watch.SnapshotInterval = 50 * time.Millisecond
	cfg.Ring.RecordsPerCPU = 16384
	change(cfg)
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
	for _, denied := range r.run.tracer.Degraded() {
		feature, _, _ := strings.Cut(denied, ":")
		if slices.Contains(p.needs, feature) && os.Getenv("PERFSCOPE_KERNEL_TEST") != "" {
			_ = logs.Shutdown(context.Background())
			t.Skip("denied: " + denied)
		}
	}
	assert.Eventually(t, func() bool {
		r.run.gatherer.mu.Lock()
		defer r.run.gatherer.mu.Unlock()
		target := r.run.gatherer.targets[int32(p.Process.Pid)]
		return target != nil && target.followed && len(r.run.gatherer.orders) == 0 && target.counted
	}, time.Minute, 10*time.Millisecond, "the program was not found")
	// What the names in its stacks take is read first, however long that takes.
	_, _ = r.run.symbols.unwind.Facts(int32(p.Process.Pid))
	var others sync.WaitGroup
	for _, f := range meanwhile {
		others.Go(f)
	}
	p.tell()
	p.line()
	others.Wait()
	require.NoError(t, logs.Shutdown(context.Background()))
	return sink.AllLogs()
}

// TestKernelChildren follows forks, up to their exec.
func TestKernelChildren(t *testing.T) {
	// Three subshells, which are forks without an exec, and one program.
	p := startProgram(t, "/bin/sh", "-c", "echo ready; read go; for i in 1 2 3; do (: >/dev/null); done; /bin/true; echo done; read stop", "marker-of-the-test")
	shell, err := os.Readlink("/proc/" + strconv.Itoa(p.Process.Pid) + "/exe")
	require.NoError(t, err)
	opened := map[int64]int{}
	instances := map[string]bool{}
	for _, l := range p.record(func(c *Config) { c.Targets = []TargetConfig{{Command: "marker-of-the-test$"}} }) {
		for i := range l.ResourceLogs().Len() {
			v, _ := l.ResourceLogs().At(i).Resource().Attributes().Get("process.executable.path")
			assert.Equal(t, shell, v.Str())
		}
		for _, d := range decode(t, l) {
			instances[d.instance] = true
			for _, b := range d.batches {
				for _, e := range b.Events {
					if e.Kind == threadtrace.KindCall && e.Number == unix.SYS_OPENAT {
						opened[d.pid]++
					}
				}
			}
		}
	}
	assert.Len(t, instances, 1, "children are of their parent's service instance")
	assert.Len(t, opened, 3, "each subshell opens one file: %v", opened)
	for pid, n := range opened {
		assert.Equal(t, 1, n)
		assert.NotEqual(t, int64(p.Process.Pid), pid)
	}
}

// TestKernelWatch records with no hook on system calls.
func TestKernelWatch(t *testing.T) {
	exe, err := os.Executable()
	require.NoError(t, err)
	kinds := map[threadtrace.Kind]int{}
	var spinning, napping, nameless int
	program := startProgram(t, exe)
	program.needs = []string{"sample stacks", "snapshot stacks"}
	for _, l := range program.record(func(c *Config) {
		c.Mode = ModeWatch
		c.Targets = []TargetConfig{{OTelServiceName: "traced-*"}}
		c.Watch.SampleFrequency = 99
		// A flush waits for names no longer than settleFor, in which a slow machine
		// gives few: most samples are to be older.
		c.FlushInterval = 2 * time.Second
	}) {
		for _, d := range decode(t, l) {
			for _, c := range d.coverage {
				assert.Zero(t, c.Traced)
				assert.Equal(t, time.Second/99, c.SamplePeriod)
				assert.Equal(t, 50*time.Millisecond, c.SnapshotPeriod)
			}
			for _, b := range d.batches {
				for _, e := range b.Events {
					kinds[e.Kind]++
					if e.Stack == 0 {
						if e.Kind == threadtrace.KindSample {
							nameless++
						}
						continue
					}
					switch frames := framesOf(b.Stacks[e.Stack-1]); {
					case e.Kind == threadtrace.KindSample && strings.Contains(frames, ".spin "):
						spinning++
					case e.Kind == threadtrace.KindBlocked && strings.Contains(frames, ".longNap "):
						napping++
					}
				}
			}
		}
	}
	t.Logf("%v, spinning %d, napping %d, %d samples without names", kinds, spinning, napping, nameless)
	assert.Zero(t, kinds[threadtrace.KindCall])
	assert.Zero(t, kinds[threadtrace.KindInFlight])
	assert.GreaterOrEqual(t, spinning, 10, "of about 40 samples")
	assert.GreaterOrEqual(t, napping, 8, "of about 24 snapshots")
}

// TestWaitOfUnknownLength takes snapshots that do not know when a wait began.
func TestWaitOfUnknownLength(t *testing.T) {
	for since, want := range map[int64]int64{
		0: 0, -5: 0, 1: 0, epoch - 1e9: 1e9, epoch: 0, epoch + 1e9: 0, epoch - int64(longestWait) - 1: 0,
	} {
		b := newBench(t, nil)
		(&kernelHandler{b.gatherer}).Snapshot(&capture.Snapshot{Time: epoch, Threads: []capture.Thread{
			{PID: 100, TID: 100, Number: 1, Flags: capture.ThreadBlocked, Since: since},
		}})
		events := b.targets[100].threads[100].events
		require.Len(t, events, 1)
		assert.Equal(t, want, events[0].Elapsed, "since %d", since)
	}
}

// TestUnwinderFollowsForkAndExec: a child begins with its parent's mappings,
// another program does not.
func TestUnwinderFollowsForkAndExec(t *testing.T) {
	b := newBench(t, nil)
	b.find(server(100))
	h := &kernelHandler{b.gatherer}
	h.Fork(capture.Fork{ParentPID: 100, PID: 100, TID: 101, Time: epoch}) // a thread
	assert.Empty(t, b.unwinder.inherited)
	h.Fork(capture.Fork{ParentPID: 100, PID: 200, TID: 200, Time: epoch})
	b.symbols.settle()
	assert.Equal(t, []int32{200}, b.unwinder.inherited)
	assert.Empty(t, b.unwinder.forgotten)
	h.Exec(capture.Exec{PID: 200, Time: epoch + 1})
	b.symbols.settle()
	assert.Equal(t, []int32{200}, b.unwinder.forgotten)
}

// TestKernelShortLivedChildren has children that no snapshot sees.
func TestKernelShortLivedChildren(t *testing.T) {
	const children = 50
	times := filepath.Join(t.TempDir(), "times")
	// Tens of milliseconds each: the scheduler counts up to the last clock tick only.
	work := "i=0; while [ $i -lt 40000 ]; do i=$((i+1)); done"
	p := startProgram(t, "/bin/sh", "-c", "echo ready; read go; n=0; while [ $n -lt "+strconv.Itoa(children)+" ]; do n=$((n+1)); ("+work+"); done; times >"+times+"; echo done; read stop", "marker-of-the-children")
	seen := map[int64]bool{}
	var cpu time.Duration
	stacks, named := 0, 0
	for _, l := range p.record(func(c *Config) {
		c.Targets = []TargetConfig{{Command: "marker-of-the-children$"}}
		c.Watch.SnapshotInterval = time.Second
		c.Stacks.Every = 1
	}) {
		for _, d := range decode(t, l) {
			if d.pid == int64(p.Process.Pid) {
				continue
			}
			seen[d.pid] = true
			for _, c := range d.coverage {
				cpu += c.CPUTime
			}
			for _, b := range d.batches {
				for _, e := range b.Events {
					if e.Stack == 0 {
						continue
					}
					stacks++
					if b.Stacks[e.Stack-1].Complete {
						named++
					}
				}
			}
		}
	}
	text, err := os.ReadFile(times)
	require.NoError(t, err)
	// The second line is the children's user and system time, as 0m0.5s.
	var used time.Duration
	for _, word := range strings.Fields(string(text))[2:] {
		d, err := time.ParseDuration(word)
		require.NoError(t, err)
		used += d
	}
	t.Logf("%d children used %v, %v was seen; %d of %d stacks complete", len(seen), used, cpu, named, stacks)
	assert.Len(t, seen, children)
	assert.GreaterOrEqual(t, cpu, used*8/10)
	assert.LessOrEqual(t, cpu, used*12/10)
	assert.Positive(t, stacks)
	assert.GreaterOrEqual(t, named, stacks*8/10)
}

// TestKernel records every call of a program.
func TestKernel(t *testing.T) {
	exe, err := os.Executable()
	require.NoError(t, err)
	program := startProgram(t, exe)
	program.needs = []string{"syscall stacks", "snapshot stacks"}
	all := program.record(func(c *Config) { c.Targets = []TargetConfig{{OTelServiceName: "traced-*"}} })

	var runtimeName any
	functions := 0
	got := map[string]int{}
	var napFrames, callFrames []string
	var cpu, traced time.Duration
	dropped := map[string]uint64{}
	for _, l := range all {
		attrs := l.ResourceLogs().At(0).Resource().Attributes().AsRaw()
		require.Equal(t, "traced-program", attrs["service.name"])
		require.Equal(t, int64(program.Process.Pid), attrs["process.pid"])
		require.Equal(t, exe, attrs["process.executable.path"])
		runtimeName = attrs["process.runtime.name"]
		require.NotEmpty(t, attrs["service.instance.id"])
		for _, d := range decode(t, l) {
			for _, c := range d.coverage {
				cpu += c.CPUTime
				traced += c.Traced
				for reason, n := range c.Dropped {
					dropped[reason] += n
				}
				functions = max(functions, c.Functions)
			}
			for _, b := range d.batches {
				for _, e := range b.Events {
					var frames string
					if e.Stack > 0 {
						frames = framesOf(b.Stacks[e.Stack-1])
					}
					switch {
					case e.Number == unix.SYS_GETPPID && e.Kind == threadtrace.KindCall:
						got["good"]++
						assert.Equal(t, int32(os.Getpid()), e.Return)
						if frames != "" {
							callFrames = append(callFrames, frames)
						}
					case e.Number == unix.SYS_FCHDIR && e.Kind == threadtrace.KindCall:
						got["bad"]++
						assert.Equal(t, -int32(unix.EBADF), e.Return)
					case e.Number == unix.SYS_CLOCK_NANOSLEEP && e.Duration >= int64(longCall) && e.Kind == threadtrace.KindCall:
						got["nap"]++
					case e.Number == unix.SYS_CLOCK_NANOSLEEP && e.Kind == threadtrace.KindInFlight:
						got["nap in flight"]++
						assert.GreaterOrEqual(t, e.Duration, int64(300*time.Millisecond))
						napFrames = append(napFrames, frames)
					case e.Number == unix.SYS_CLOCK_NANOSLEEP && e.Kind == threadtrace.KindBlocked:
						got["nap blocked"]++
					}
				}
			}
		}
	}
	// The first records may come before it is known, on a machine that is busy.
	assert.Equal(t, "go", runtimeName)
	assert.Positive(t, functions)
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

// TestKernelBurst: every call recorded lies in a time that the coverage says
// was traced, and some of the time was not.
func TestKernelBurst(t *testing.T) {
	exe, err := os.Executable()
	require.NoError(t, err)
	type span struct{ from, to int64 }
	var on, off []span
	var calls, cut []threadtrace.Event
	steady := exec.Command(exe)
	steady.Env = []string{programEnv + "=steady"}
	for _, l := range start(t, steady).record(func(c *Config) {
		c.Mode = ModeBurst
		c.Targets = []TargetConfig{{OTelServiceName: "traced-*"}}
		c.Focus.Length = 0
	}) {
		for _, d := range decode(t, l) {
			for _, c := range d.coverage {
				switch {
				case c.End == c.Start:
				case c.Traced == 0:
					off = append(off, span{c.Start, c.End})
				default:
					assert.Equal(t, c.End-c.Start, int64(c.Traced), "a piece is traced as a whole or not at all")
					on = append(on, span{c.Start, c.End})
				}
			}
			for _, b := range d.batches {
				for _, e := range b.Events {
					if e.Kind == threadtrace.KindCall {
						calls = append(calls, e)
					}
					if e.Cut {
						cut = append(cut, e)
					}
				}
			}
		}
	}
	t.Logf("%d calls, %d of them or in flight cut, traced %v, not traced %v", len(calls), len(cut), on, off)
	require.NotEmpty(t, on)
	require.NotEmpty(t, off)
	require.NotEmpty(t, calls)
	within := func(at int64) bool {
		const slack = int64(time.Millisecond) // the two clocks are compared at every poll
		for _, s := range on {
			if at >= s.from-slack && at <= s.to+slack {
				return true
			}
		}
		return false
	}
	for _, e := range calls {
		if !within(e.Time) || !within(e.End()) {
			t.Errorf("a call outside of all bursts: %+v", e)
		}
	}
	assert.NotEmpty(t, cut, "threads of a Go program wait, before a burst and after it")
}

// TestKernelFlood has one service make a million calls a second, far beyond what
// the small rings hold, beside one that makes few: every call of the quiet one
// arrives, the flood is not held up, and what was lost of it is counted as its
// own.
func TestKernelFlood(t *testing.T) {
	exe, err := os.Executable()
	require.NoError(t, err)
	noisy := exec.Command(exe)
	noisy.Env = []string{programEnv + "=flood", "OTEL_SERVICE_NAME=noisy"}
	quiet := startProgram(t, exe)
	flood := start(t, noisy)
	alone := flood.timed()
	flood = start(t, &exec.Cmd{Path: noisy.Path, Args: noisy.Args, Env: []string{programEnv + "=flood", "OTEL_SERVICE_NAME=noisy"}})
	var beside time.Duration
	made, lost, others := map[string]int{}, map[string]uint64{}, map[string]uint64{}
	for _, l := range quiet.record(func(c *Config) {
		c.Targets = []TargetConfig{{OTelServiceName: "traced-*"}, {OTelServiceName: "noisy"}}
		c.Ring.RecordsPerCPU = 16384
	}, func() { beside = flood.timed() }) {
		for _, rl := range l.ResourceLogs().All() {
			name, _ := rl.Resource().Attributes().Get("service.name")
			one := plog.NewLogs()
			rl.CopyTo(one.ResourceLogs().AppendEmpty())
			for _, d := range decode(t, one) {
				for _, c := range d.coverage {
					for reason, n := range c.Dropped {
						if reason == capture.DropShare {
							lost[name.Str()] += n
						} else {
							others[name.Str()+" "+reason] += n
						}
					}
				}
				for _, b := range d.batches {
					for _, e := range b.Events {
						if e.Number == unix.SYS_GETPPID && e.Kind == threadtrace.KindCall {
							made[name.Str()]++
						}
					}
				}
			}
		}
	}
	t.Logf("received %v, left out %v, otherwise lost %v; the flood took %v alone, %v recorded", made, lost, others, alone, beside)
	assert.Equal(t, goodCalls, made["traced-program"])
	assert.Zero(t, lost["traced-program"])
	assert.Empty(t, others)
	assert.Positive(t, lost["noisy"], "or the flood is none")
	assert.InDelta(t, floodCalls, made["noisy"]+int(lost["noisy"]), floodCalls/100) //nolint:gosec // a count
}

// timed has the program do its work, and takes the time.
func (p *program) timed() time.Duration {
	begun := time.Now()
	p.tell()
	p.line()
	return time.Since(begun)
}
