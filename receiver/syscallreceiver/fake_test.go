package syscallreceiver

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/perfscope/perfscope/internal/process"
	"github.com/perfscope/perfscope/internal/stack"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// fakeTracer is a kernel that the test plays.
type fakeTracer struct {
	mu       sync.Mutex
	g        *gatherer
	followed map[int32]bool
	inFlight []event
	// atInFlight happens when they are asked for; may be nil.
	atInFlight func(*gatherer)
	stats      tracerStats
	degraded   []string
	startErr   error
	addErr     error
	closed     int
	walks      int // calls of AddProcesses
	atOnce     []int32
	groups     map[int32]uint16
	// switches are the calls of Trace.
	switches  []bool
	stackRate float64
	// hang holds up Close until it is closed; nil does not.
	hang chan struct{}
	// atClose is what is left in the rings.
	atClose func(*gatherer)
}

func newFakeTracer() *fakeTracer {
	return &fakeTracer{followed: map[int32]bool{}, groups: map[int32]uint16{}, stats: tracerStats{
		Dropped: map[string]uint64{}, Memory: 1 << 20, SamplePeriod: 20 * time.Millisecond, SnapshotPeriod: 200 * time.Millisecond,
	}}
}

func (f *fakeTracer) Start(context.Context) error { return f.startErr }

func (f *fakeTracer) Close() error {
	f.closed++
	if f.hang != nil {
		<-f.hang
	}
	if f.atClose != nil {
		f.g.mu.Lock()
		defer f.g.mu.Unlock()
		f.atClose(f.g)
	}
	return nil
}

func (f *fakeTracer) AddProcesses(pids []int32, groups []uint16) []error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.walks++
	errs := make([]error, len(pids))
	for i, pid := range pids {
		if errs[i] = f.addErr; errs[i] == nil {
			f.followed[pid] = true
			f.groups[pid] = groups[i]
		}
	}
	return errs
}

func (f *fakeTracer) RemoveProcess(pid int32) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.followed, pid)
	return nil
}

func (f *fakeTracer) DeliverAtOnce(pid int32) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.atOnce = append(f.atOnce, pid)
	return nil
}

// Trace is told to the gatherer at once, as the tracer does.
func (f *fakeTracer) Trace(on bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.switches = append(f.switches, on)
	return nil
}

func (f *fakeTracer) SetStackRate(part float64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stackRate = part
	return nil
}

// record has it tell of so many more calls.
func (f *fakeTracer) record(calls uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stats.Recorded += calls
}

func (f *fakeTracer) InFlight(time.Duration) []event {
	if f.atInFlight != nil {
		f.atInFlight(f.g)
	}
	return f.inFlight
}

func (f *fakeTracer) Sockets(func(int32, uint32, uint32, []byte) bool) error { return nil }

func (f *fakeTracer) Stats() tracerStats {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.stats
	s.Dropped = maps.Clone(s.Dropped)
	return s
}

func (f *fakeTracer) Degraded() []string { return f.degraded }

func (f *fakeTracer) follows() []int32 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Sorted(maps.Keys(f.followed))
}

// give plays the tracer's goroutine.
func (f *fakeTracer) give(what func(*gatherer)) {
	f.g.mu.Lock()
	defer f.g.mu.Unlock()
	what(f.g)
}

// LastRead is now.
func (f *fakeTracer) LastRead() time.Time { return time.Now() }

// fakeUnwinder reads frames off the stack bytes: one byte per frame. A zero
// instruction pointer fails.
type fakeUnwinder struct {
	mu                   sync.Mutex
	forgotten, inherited []int32
	// slow is called by what reads files; may be nil.
	slow func(pid int32)
	// patient has every stack need a file.
	patient bool
}

func (u *fakeUnwinder) Try(pid int32, regs stack.Registers, copied stack.Copy) (threadtrace.Stack, error) {
	if u.patient {
		return threadtrace.Stack{}, stack.ErrWork
	}
	return u.unwind(regs, copied)
}

func (u *fakeUnwinder) Unwind(pid int32, regs stack.Registers, copied stack.Copy) (threadtrace.Stack, error) {
	if u.slow != nil {
		u.slow(pid)
	}
	return u.unwind(regs, copied)
}

func (u *fakeUnwinder) unwind(regs stack.Registers, copied stack.Copy) (threadtrace.Stack, error) {
	if regs.IP == 0 {
		return threadtrace.Stack{}, errors.New("no code there")
	}
	s := threadtrace.Stack{Complete: true}
	for _, c := range copied.Bytes {
		s.Frames = append(s.Frames, threadtrace.Frame{Function: "f" + strconv.Itoa(int(c)), Module: "server", Line: int32(c)})
	}
	return s, nil
}

func (u *fakeUnwinder) Inherit(_, child int32) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.inherited = append(u.inherited, child)
}

func (u *fakeUnwinder) Forget(pid int32) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.forgotten = append(u.forgotten, pid)
}

func (u *fakeUnwinder) Facts(pid int32) (stack.Facts, error) {
	if u.slow != nil {
		u.slow(pid)
	}
	return stack.Facts{Functions: 42, BuildIDKind: "gnu", BuildID: "abcdef"}, nil
}

func (u *fakeUnwinder) Variables(int32) (string, map[string]uint64, error) { return "", nil, nil }

func (u *fakeUnwinder) GoFunction(int32, string) (stack.GoFunction, error) {
	return stack.GoFunction{}, stack.ErrNotGo
}

func (u *fakeUnwinder) Stats() stack.Stats { return stack.Stats{} }

// fakeProc makes a proc file system with processes of the program /bin/NAME.
type fakeProc struct {
	t    testing.TB
	root string
}

func newFakeProc(t testing.TB) *fakeProc {
	p := &fakeProc{t, t.TempDir()}
	p.write("stat", "btime 1700000000\n")
	p.write("sys/kernel/random/boot_id", "boot\n")
	return p
}

func (p *fakeProc) write(name, content string) {
	path := filepath.Join(p.root, name)
	require.NoError(p.t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(p.t, os.WriteFile(path, []byte(content), 0o644))
}

func (p *fakeProc) add(pid, parent int, name string) {
	dir := strconv.Itoa(pid) + "/"
	p.write(dir+"stat", fmt.Sprintf("%d (%s) S %d 1 1 0 -1 0 1 2 3 4 5 6 7 8 20 0 2 0 %d 1 1", pid, name, parent, pid))
	p.write(dir+"cmdline", "/bin/"+name+"\x00")
	p.write(dir+"cgroup", "0::/system.slice/"+name+".service\n")
	p.write(dir+"environ", "")
	exe := filepath.Join(p.root, dir, "exe")
	_ = os.Remove(exe)
	require.NoError(p.t, os.Symlink("/bin/"+name, exe))
	for i, thread := range []string{name, "bio_aof"} {
		p.write(fmt.Sprintf("%stask/%d/comm", dir, pid+i), thread+"\n")
	}
}

func (p *fakeProc) remove(pid int) {
	require.NoError(p.t, os.RemoveAll(filepath.Join(p.root, strconv.Itoa(pid))))
}

var testHost = process.Host{ID: "3d1219c7c4c5404aaa1f6d2a48adfda4", Name: "web-1"}

// bench is a gatherer with a fake world around it and a clock that stands.
type bench struct {
	*gatherer
	tracer     *fakeTracer
	unwinder   *fakeUnwinder
	deliveries []delivery
	full       bool
	told       []notice
	poked      int
	clock      int64
}

const epoch = int64(1700000000_000000000)

func newBench(t testing.TB, change func(*Config)) *bench {
	cfg := createDefaultConfig().(*Config)
	cfg.Targets = []TargetConfig{{Executable: "server"}}
	if change != nil {
		change(cfg)
	}
	require.NoError(t, cfg.Validate())
	proc := newFakeProc(t)
	proc.add(100, 1, "server")
	b := &bench{tracer: newFakeTracer(), unwinder: &fakeUnwinder{}, clock: epoch}
	counted := nopStats(t)
	named := newSymbols(b.unwinder, nil, counted, zap.NewNop())
	named.start()
	t.Cleanup(func() {
		named.stop()
		named.wait()
	})
	b.gatherer = &gatherer{
		cfg: cfg, logger: zap.NewNop(), tracer: b.tracer, symbols: named, host: testHost, arch: "amd64",
		stats: counted, names: process.NewThreadNames(proc.root), targets: map[int32]*target{},
		dedup: newStackIndex(), buffers: buffers{most: cfg.maxPending()}, last: epoch, traced: traced{was: true, is: true},
		now:   func() int64 { return b.clock },
		tell:  func(n notice) { b.told = append(b.told, n) },
		ready: func() { b.poked++ },
		emit: func(d delivery) bool {
			if !b.full {
				b.deliveries = append(b.deliveries, d)
			}
			return !b.full
		},
	}
	b.tracer.g = b.gatherer
	return b
}

// server is the identity of process 100 and of what it forks.
func server(pid int32) *process.Process {
	return &process.Process{
		PID: pid, Root: 100, Parent: 1, Created: time.Unix(1700000000, 0).UTC(),
		ServiceName: "server", InstanceID: "instance-1", Executable: "/bin/server", ExecutableName: "server",
		Cgroup: "0::/system.slice/server.service",
	}
}

func (b *bench) find(processes ...*process.Process) {
	b.reconcile(b.clock, processes)
	b.symbols.settle()
	b.settle()
}

func (b *bench) wait(d time.Duration) { b.clock += int64(d) }

// call is a finished call that began at milliseconds after the epoch.
func call(pid, tid int32, at, took int64, number, ret int32, stackID uint32) event {
	return event{pid, tid, threadtrace.Event{
		Kind: threadtrace.KindCall, Time: epoch + at*1e6, Duration: took * 1e6, Number: number, Return: ret, Stack: stackID,
	}}
}

func raw(id uint32, pid, tid int32, frames ...byte) rawStack {
	return rawStack{ID: id, PID: pid, TID: tid, Regs: stack.Registers{IP: 1}, Copy: stack.Copy{Bytes: frames}}
}

// framesOf names a stack's functions.
func framesOf(s threadtrace.Stack) string {
	var names []string
	for _, f := range s.Frames {
		names = append(names, f.Function)
	}
	return strings.Join(names, " ")
}
