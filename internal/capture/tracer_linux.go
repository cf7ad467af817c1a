//go:build linux && (amd64 || arm64)

package capture

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/ringbuf"
	"go.uber.org/zap"
)

// ErrClosed is returned by a Tracer that has been closed.
var ErrClosed = errors.New("capture: the tracer is closed")

// Tracer records what its targets do. Its methods may be called from any
// goroutine, but Poll and Close not from within the Handler.
type Tracer struct {
	cfg     Config
	handler Handler
	log     *zap.Logger

	// mu guards which of the kernel objects are attached, and the targets.
	mu      sync.Mutex
	obj     *objects
	follow  []link.Link // fork, exec, exit
	enter   link.Link
	exit    link.Link
	waking  link.Link // nil when not attached, or not loaded
	iters   iterators
	sampler *sampler
	// samplePeriod is zero before Start and without samples; Start alone writes it.
	samplePeriod time.Duration
	degraded     []Degraded
	closed       bool
	started      bool
	attached     time.Time     // zero is detached
	traced       time.Duration // of finished attachments
	since        uint64        // when they were attached, by the kernel's clock
	until        uint64        // when they were detached
	tax          tax
	forgot       time.Time   // when removed processes' threads were last let go
	forget       *time.Timer // they will be again; nil is not needed
	walks        int         // over all tasks, but for snapshots

	// life keeps the mapped memory from going away under InFlight and Stats.
	life sync.RWMutex
	// listing is held while sockets are listed: one walk at a time counts the files.
	listing sync.Mutex

	loop chan func() // run by the reading goroutine
	stop chan struct{}
	done chan struct{}

	events, stacks *ringbuf.Reader
	wakes          *wakes          // of stacks
	contexts       *ringbuf.Reader // nil without Config.TraceContext
	wakings        *ringbuf.Reader // nil without Config.WakingRate
	read           reader
	snaps          snapshots
	counts         counters
	clock          clock
}

// iterators has nil for what the kernel denies.
type iterators struct{ seed, forget, snapshot, sockets *link.Iter }

// counters are written by the reading goroutine and read by Stats.
type counters struct {
	calls, stacks, samples, snapshots, notices       atomic.Uint64
	contexts, wakings                                atomic.Uint64
	late, overwritten, torn, malformed, snapshotMiss atomic.Uint64
	read                                             atomic.Int64 // nanoseconds since the epoch
}

// New loads the eBPF programs, attached to nothing yet. Its error says what is
// missing, a capability, type information or a kernel feature, and how to come
// by it. What the kernel denies but is not essential is in Degraded. Close
// must be called even when Start is not.
func New(cfg Config, handler Handler, log *zap.Logger) (*Tracer, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if err := checkEnvironment(); err != nil {
		return nil, err
	}
	spec, err := loadCapture()
	if err != nil {
		return nil, fmt.Errorf("capture: the embedded eBPF object is damaged: %w", err)
	}
	return newTracer(spec, cfg, handler, log)
}

func newTracer(spec *ebpf.CollectionSpec, cfg Config, handler Handler, log *zap.Logger) (*Tracer, error) {
	if log == nil {
		log = zap.NewNop()
	}
	obj, err := load(spec, cfg, log)
	if err != nil {
		return nil, err
	}
	t := &Tracer{
		cfg: cfg, handler: handler, log: log, obj: obj, degraded: obj.degraded,
		loop: make(chan func()), stop: make(chan struct{}), done: make(chan struct{}),
	}
	if err := t.open(); err != nil {
		return nil, errors.Join(err, t.Close())
	}
	for _, d := range t.degraded {
		log.Warn("the kernel denies a part of the capture", zap.String("feature", d.Feature), zap.String("reason", d.Reason))
	}
	return t, nil
}

func (t *Tracer) open() (err error) {
	if t.events, err = ringbuf.NewReader(t.obj.coll.Maps[captureMapEvents]); err != nil {
		return fmt.Errorf("capture: cannot read the notice ring: %w", err)
	}
	if t.stacks, err = ringbuf.NewReader(t.obj.coll.Maps[captureMapStacks]); err != nil {
		return fmt.Errorf("capture: cannot read the stack ring: %w", err)
	}
	if t.wakes, err = openWakes(t.obj.coll.Maps[captureMapStacks]); err != nil {
		return fmt.Errorf("capture: cannot wait for the stack ring: %w", err)
	}
	if t.cfg.TraceContext {
		if t.contexts, err = ringbuf.NewReader(t.obj.coll.Maps[captureMapContexts]); err != nil {
			return fmt.Errorf("capture: cannot read the ring of trace contexts: %w", err)
		}
	}
	if t.obj.waking != nil {
		if t.wakings, err = ringbuf.NewReader(t.obj.coll.Maps[captureMapWakings]); err != nil {
			return fmt.Errorf("capture: cannot read the ring of wakings: %w", err)
		}
	}
	for name, it := range map[string]**link.Iter{captureProgSeedThreads: &t.iters.seed, captureProgForgetThreads: &t.iters.forget} {
		if *it, err = link.AttachIter(link.IterOptions{Program: t.obj.coll.Programs[name]}); err != nil {
			return refused("cannot iterate over tasks", err)
		}
	}
	if t.obj.snapshot != nil {
		if t.iters.snapshot, err = link.AttachIter(link.IterOptions{Program: t.obj.snapshot}); err != nil {
			t.degraded = append(t.degraded, Degraded{Feature: "snapshots", Reason: explain(err)})
		}
	}
	if t.obj.sockets != nil {
		if t.iters.sockets, err = link.AttachIter(link.IterOptions{Program: t.obj.sockets}); err != nil {
			t.degraded = append(t.degraded, Degraded{Feature: socketsFeature, Reason: explain(err)})
		}
	}
	t.read.init(t)
	t.snaps.init(func() error { return runIter(t.iters.snapshot) })
	return t.clock.refresh()
}

// Start attaches what the Config asks for and starts the one goroutine that
// calls the Handler. ctx bounds the starting only; Close ends the Tracer.
func (t *Tracer) Start(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return ErrClosed
	}
	if t.started {
		return errors.New("capture: the tracer has been started before")
	}
	for _, name := range []string{captureProgTaskNewtask, captureProgSchedProcessExec, captureProgSchedProcessExit} {
		l, err := attach(t.obj.coll.Programs[name], name)
		if err != nil {
			return err
		}
		t.follow = append(t.follow, l)
	}
	if t.obj.sample != nil {
		s, err := startSampler(t.obj.sample, t.cfg.SampleHz)
		if err != nil {
			t.degraded = append(t.degraded, Degraded{Feature: "samples", Reason: err.Error()})
			t.log.Warn("the kernel denies a part of the capture", zap.String("feature", "samples"), zap.Error(err))
		} else {
			t.samplePeriod = time.Second / time.Duration(s.hz)
			if s.hz < t.cfg.SampleHz {
				t.log.Warn("the kernel allows fewer samples of threads on a CPU ("+maxSampleRate+"), which it lowers where interrupts take long",
					zap.Int("asked_hz", t.cfg.SampleHz), zap.Int("hz", s.hz))
			}
		}
		t.sampler = s
	}
	if t.cfg.Continuous {
		t.tax.measure(false)
		if err := t.attachEntriesLocked(); err != nil {
			return err
		}
		if err := t.attachReturnsLocked(); err != nil {
			return err
		}
		t.tax.measure(true)
	}
	t.started = true
	go t.run(t.cfg.Continuous)
	return nil
}

// SetStackRate bounds the stacks of calls to a part of Config.StackRate, and wakings to
// one of Config.WakingRate, above 0 to 1; it does nothing when there is no bound.
func (t *Tracer) SetStackRate(part float64) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return ErrClosed
	}
	return t.obj.setStackRate(t.cfg, part)
}

// LastRead is when the rings were last read to their end; zero is never yet. It
// waits for nobody.
func (t *Tracer) LastRead() time.Time {
	if at := t.counts.read.Load(); at != 0 {
		return time.Unix(0, at)
	}
	return time.Time{}
}

// Degraded lists what the kernel or a missing privilege denies.
func (t *Tracer) Degraded() []Degraded {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]Degraded(nil), t.degraded...)
}

// SamplePeriod is the CPU time one Sample stands for; zero before Start and when
// there are none.
func (t *Tracer) SamplePeriod() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.samplePeriod
}

// AddProcess starts to follow a process: all its threads, those it makes, and
// with IncludeChildren the processes it starts. It refuses this very process,
// and one that does not exist. pid is that of the initial PID namespace.
func (t *Tracer) AddProcess(pid int32) error { return t.AddProcesses([]int32{pid})[0] }

// AddProcesses is AddProcess for many at the cost of little more than one: the
// threads of all are found in one walk over the tasks of the host. It returns
// as many errors as there are pids, nil for each that is followed now.
func (t *Tracer) AddProcesses(pids []int32) []error {
	return t.AddGrouped(pids, make([]uint16, len(pids)))
}

// AddGrouped is AddProcesses for processes that belong to groups, one for each
// pid, below MaxGroups: of the room in the rings a group may fill nearly half between
// two polls, beyond it its calls are counted (Shares) and not recorded. What a
// process starts is of its group.
func (t *Tracer) AddGrouped(pids []int32, groups []uint16) []error {
	errs := make([]error, len(pids))
	for i, pid := range pids {
		if int(pid) == os.Getpid() {
			errs[i] = fmt.Errorf("capture: process %d is this one, which never traces itself", pid)
		} else {
			errs[i] = alive(pid)
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	// First the targets, so that new threads are followed from now on, then
	// those that are there: between them nothing slips through.
	added := 0
	for i, pid := range pids {
		switch {
		case t.closed:
			errs[i] = ErrClosed
		case errs[i] == nil:
			if err := t.obj.coll.Maps[captureMapTargets].Put(uint32(pid), uint32(groups[i]%MaxGroups)); err != nil {
				errs[i] = fmt.Errorf("capture: cannot follow process %d (at most %d at once): %w", pid, MaxTargets, err)
			} else {
				added++
			}
		}
	}
	if added == 0 {
		return errs
	}
	seeded := t.walk(t.iters.seed)
	for i, pid := range pids {
		if errs[i] != nil {
			continue
		}
		if seeded != nil {
			errs[i] = fmt.Errorf("capture: cannot find the threads of process %d: %w", pid, seeded)
		} else {
			// If it ended before it was a target nobody will say so.
			errs[i] = alive(pid)
		}
		if errs[i] != nil {
			errs[i] = errors.Join(errs[i], t.removeLocked(pid))
		}
	}
	return errs
}

// walk runs an iterator over all tasks of the host.
func (t *Tracer) walk(it *link.Iter) error {
	t.walks++
	return runIter(it)
}

// RemoveProcess stops following a process; it does nothing if it is not
// followed. Processes it started stay. Of many removed in quick succession the
// later ones may still be heard of for as long as a tenth of a second.
func (t *Tracer) RemoveProcess(pid int32) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return ErrClosed
	}
	return t.removeLocked(pid)
}

// forgetEvery is the least time between two walks over all tasks of the host
// that let the threads of removed processes go.
const forgetEvery = 100 * time.Millisecond

func (t *Tracer) removeLocked(pid int32) error {
	err := t.obj.coll.Maps[captureMapTargets].Delete(uint32(pid))
	if errors.Is(err, ebpf.ErrKeyNotExist) {
		return nil
	}
	if err == nil {
		err = t.forgetSoonLocked()
	}
	if err != nil {
		return fmt.Errorf("capture: cannot let go of process %d: %w", pid, err)
	}
	return nil
}

// forgetSoonLocked lets the threads of removed processes go, now unless it did
// so just before.
func (t *Tracer) forgetSoonLocked() error {
	if t.forget != nil {
		return nil // they go with the others
	}
	if wait := forgetEvery - time.Since(t.forgot); wait > 0 {
		t.forget = time.AfterFunc(wait, func() {
			t.mu.Lock()
			defer t.mu.Unlock()
			t.forget = nil
			if t.closed {
				return
			}
			if err := t.forgetLocked(); err != nil {
				t.log.Error("cannot let go of the threads of removed processes", zap.Error(err))
			}
		})
		return nil
	}
	return t.forgetLocked()
}

func (t *Tracer) forgetLocked() error {
	t.forgot = time.Now()
	return t.walk(t.iters.forget)
}

// alive returns an error unless pid is a process that has not ended.
func alive(pid int32) error {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(int(pid)) + "/status")
	if err != nil {
		return fmt.Errorf("capture: there is no process %d: %w", pid, err)
	}
	for line := range strings.Lines(string(b)) {
		key, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		if key == "State" && (strings.HasPrefix(value, "Z") || strings.HasPrefix(value, "X")) {
			return fmt.Errorf("capture: process %d has ended: %w", pid, os.ErrProcessDone)
		}
		if key == "Tgid" && value != strconv.Itoa(int(pid)) {
			return fmt.Errorf("capture: %d is a thread of process %s, not a process", pid, value)
		}
	}
	return nil
}

// runIter runs an iterator over all tasks.
func runIter(it *link.Iter) error {
	r, err := it.Open()
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, r)
	return errors.Join(err, r.Close())
}

// closeWait bounds how long Close waits for a snapshot.
const closeWait = 3 * time.Second

// Close detaches everything, delivers what is left in the rings, and frees
// the kernel objects. It returns after the last call of the Handler. A snapshot
// that the kernel does not finish in a few seconds it leaves behind, and
// returns an error: what the snapshot needs is freed when it is done.
func (t *Tracer) Close() error {
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return nil
	}
	t.closed = true
	if t.forget != nil {
		t.forget.Stop()
	}
	errs := []error{t.detachLocked()}
	if t.sampler != nil {
		errs = append(errs, t.sampler.close())
	}
	for _, l := range t.follow {
		errs = append(errs, l.Close())
	}
	started := t.started
	t.mu.Unlock()
	if started {
		close(t.stop)
		<-t.done
		timeout := time.NewTimer(closeWait)
		defer timeout.Stop()
		select {
		case <-t.snaps.done:
		case <-timeout.C:
			go func() {
				<-t.snaps.done
				if err := t.free(); err != nil {
					t.log.Error("cannot free the eBPF objects", zap.Error(err))
				}
			}()
			return errors.Join(append(errs, fmt.Errorf("capture: a snapshot of the threads has not ended within %v: "+
				"a process keeps the kernel waiting for its memory (a page that does not come from disk or network, or a lock); "+
				"all is detached, but the eBPF objects stay until it ends", closeWait))...)
		}
	}
	return errors.Join(append(errs, t.free())...)
}

// free gives the kernel objects back. Nobody uses them any more but the
// methods that look at mapped memory.
func (t *Tracer) free() error {
	var errs []error
	t.life.Lock()
	defer t.life.Unlock()
	for _, it := range []*link.Iter{t.iters.seed, t.iters.forget, t.iters.snapshot, t.iters.sockets} {
		if it != nil {
			errs = append(errs, it.Close())
		}
	}
	for _, r := range []*ringbuf.Reader{t.events, t.stacks, t.contexts, t.wakings} {
		if r != nil {
			errs = append(errs, r.Close())
		}
	}
	if t.wakes != nil {
		errs = append(errs, t.wakes.close())
	}
	errs = append(errs, t.obj.close())
	return errors.Join(errs...)
}
