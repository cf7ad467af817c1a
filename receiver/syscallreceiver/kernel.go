package syscallreceiver

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/perfscope/perfscope/internal/capture"
	"github.com/perfscope/perfscope/internal/stack"
	"github.com/perfscope/perfscope/internal/syscalltrace"
)

// kernelTracer is the real tracer: capture.Tracer, whose records it turns into
// the gatherer's events.
type kernelTracer struct {
	tracer *capture.Tracer
	cfg    capture.Config
	// snapshots and samples are false when the host denies them.
	snapshots bool
}

// newKernelTracer loads the eBPF programs.
func newKernelTracer(cfg *Config, g *gatherer, logger *zap.Logger) (tracer, error) {
	c := capture.DefaultConfig()
	c.Continuous = cfg.Mode == ModeContinuous
	c.SampleHz = cfg.Watch.SampleFrequency
	c.SnapshotInterval = cfg.Watch.SnapshotInterval
	c.StackBytes = cfg.Stacks.MaxBytes
	c.StackEvery = cfg.Stacks.Every
	c.StackRate = cfg.Stacks.MaxRate
	c.RingRecords = cfg.Ring.RecordsPerCPU
	c.StackRingBytes = cfg.Ring.StackBytes
	c.IncludeChildren = cfg.IncludeChildren
	c.TraceContext = cfg.TraceContext == TraceContextPayload
	t, err := capture.New(c, &kernelHandler{g}, logger)
	if err != nil {
		return nil, err
	}
	return &kernelTracer{tracer: t, cfg: c}, nil
}

func (k *kernelTracer) Start(ctx context.Context) error {
	if err := k.tracer.Start(ctx); err != nil {
		return err
	}
	k.snapshots = k.cfg.SnapshotInterval > 0
	for _, d := range k.tracer.Degraded() {
		if d.Feature == "snapshots" {
			k.snapshots = false
		}
	}
	return nil
}

func (k *kernelTracer) Close() error { return k.tracer.Close() }
func (k *kernelTracer) AddProcesses(pids []int32, groups []uint16) []error {
	return k.tracer.AddGrouped(pids, groups)
}
func (k *kernelTracer) RemoveProcess(pid int32) error { return k.tracer.RemoveProcess(pid) }

func (k *kernelTracer) Trace(on bool) error {
	if on {
		return k.tracer.Attach()
	}
	return k.tracer.Detach()
}

func (k *kernelTracer) SetStackRate(part float64) error { return k.tracer.SetStackRate(part) }

func (k *kernelTracer) InFlight(age time.Duration) []event {
	// It fails only after Close, or without a clock: then there are none.
	calls, _ := k.tracer.InFlight(age)
	out := make([]event, len(calls))
	for i, c := range calls {
		out[i] = event{c.PID, c.TID, syscalltrace.Event{
			Kind: syscalltrace.KindInFlight, Time: c.Start, Duration: int64(c.Duration), Number: c.Number,
		}}
	}
	return out
}

func (k *kernelTracer) Stats() tracerStats {
	s := k.tracer.Stats()
	out := tracerStats{
		Dropped: s.Dropped, Attached: s.Attached, SamplePeriod: k.tracer.SamplePeriod(), Memory: s.Memory,
		Recorded: s.Produced, Passed: s.Passed, Stacks: s.Stacks, Tax: s.Tax, Skipped: map[uint16]uint64{}, Groups: map[uint16]uint64{},
	}
	for group, share := range k.tracer.Shares() {
		out.Groups[group] = share.Recorded
		if share.Skipped > 0 {
			out.Skipped[group] = share.Skipped
		}
	}
	if k.snapshots {
		out.SnapshotPeriod = k.cfg.SnapshotInterval
	}
	return out
}

func (k *kernelTracer) Degraded() []string {
	var out []string
	for _, d := range k.tracer.Degraded() {
		out = append(out, d.Feature+": "+d.Reason)
	}
	return out
}

// kernelHandler is called by the tracer's goroutines.
type kernelHandler struct{ g *gatherer }

var _ capture.Handler = (*kernelHandler)(nil)

func (h *kernelHandler) Calls(batch []capture.Call) {
	g := h.g
	g.mu.Lock()
	defer g.mu.Unlock()
	// Calls come by the time they ended: those of one thread often in a row.
	var t *target
	var th *thread
	var tid int32
	for i := range batch {
		c := &batch[i]
		if t == nil || t.pid != c.PID {
			t, th = g.target(c.PID), nil
		}
		if th == nil || tid != c.TID {
			th, tid = t.thread(c.TID), c.TID
		}
		e := th.room(&g.buffers)
		*e = syscalltrace.Event{
			Kind: syscalltrace.KindCall, Time: c.Start, Duration: int64(c.Duration),
			Number: c.Number, Return: c.Return, Stack: c.StackID,
		}
		if c.Flags&capture.FlagUnreturned != 0 {
			e.Return = 0
		}
		if c.Flags&capture.FlagCut != 0 {
			t.cut(e)
		}
		t.received++
		g.pending++
		if g.pending >= g.cfg.maxPending() {
			g.flushEvents()
			t = nil // it may be forgotten
		}
	}
	g.stats.kinds[syscalltrace.KindCall] += uint64(len(batch))
}

func (h *kernelHandler) Stack(s *capture.RawStack) {
	h.g.stack(rawStack{
		ID: s.ID, PID: s.PID, TID: s.TID, Blocked: s.Kind == capture.StackBlocked, Bytes: s.Bytes,
		Regs: stack.Registers{IP: s.Regs.IP, SP: s.Regs.SP, BP: s.Regs.BP, LR: s.Regs.LR},
	})
}

func (h *kernelHandler) Sample(s capture.Sample) {
	h.g.mu.Lock()
	defer h.g.mu.Unlock()
	h.g.event(event{s.PID, s.TID, syscalltrace.Event{
		Kind: syscalltrace.KindSample, Time: s.Time, Number: s.Number, Stack: s.StackID,
		Duration: int64(h.g.samplePeriod),
	}})
}

func (h *kernelHandler) Snapshot(s *capture.Snapshot) {
	h.g.mu.Lock()
	defer h.g.mu.Unlock()
	for i := range s.Threads {
		th := &s.Threads[i]
		h.g.target(th.PID).used(th.TID, th.CPUTime)
		// A thread that runs, or could, waits for nothing.
		if th.Flags&capture.ThreadBlocked == 0 {
			continue
		}
		h.g.event(event{th.PID, th.TID, syscalltrace.Event{
			Kind: syscalltrace.KindBlocked, Time: s.Time, Duration: int64(s.Interval),
			Elapsed: elapsed(th.Since, s.Time), Number: th.Number, Stack: th.StackID,
		}})
	}
	for i := range s.Threads {
		h.g.target(s.Threads[i].PID).counted = true
	}
}

// longestWait is the longest wait believed in.
const longestWait = 10 * 365 * 24 * time.Hour

// elapsed is the time from one instant to another, zero when it is not known.
func elapsed(since, now int64) int64 {
	if since <= 0 || since > now || now-since > int64(longestWait) {
		return 0
	}
	return now - since
}

// Tracing takes an edge of a burst. A call that was in flight at its end is told
// as far as it was seen.
func (h *kernelHandler) Tracing(e capture.Tracing) {
	h.g.mu.Lock()
	defer h.g.mu.Unlock()
	for _, c := range e.InFlight {
		if t := h.g.targets[c.PID]; t == nil || t.ended {
			continue
		}
		h.g.event(event{c.PID, c.TID, syscalltrace.Event{
			Kind: syscalltrace.KindInFlight, Time: c.Start, Duration: int64(c.Duration), Number: c.Number, Cut: true,
		}})
	}
	h.g.traced.edge(e.On, e.Time)
}

func (h *kernelHandler) Context(c capture.Context) {
	h.g.mu.Lock()
	defer h.g.mu.Unlock()
	h.g.context(c.PID, c.TID, syscalltrace.Context{Time: c.Time, TraceID: c.TraceID, ParentID: c.ParentID})
}

func (h *kernelHandler) Fork(f capture.Fork) {
	if f.PID == f.ParentPID {
		return // a new thread: its events will tell
	}
	// A child may have ended before its own mappings can be read.
	h.g.unwind.Inherit(f.ParentPID, f.PID)
	h.g.mu.Lock()
	defer h.g.mu.Unlock()
	h.g.forked(f.ParentPID, f.PID, f.Time)
}

func (h *kernelHandler) Exec(e capture.Exec) {
	h.g.unwind.Forget(e.PID)
	h.g.mu.Lock()
	defer h.g.mu.Unlock()
	h.g.execed(e.PID, e.Time)
}

func (h *kernelHandler) Exit(e capture.Exit) {
	h.g.mu.Lock()
	defer h.g.mu.Unlock()
	h.g.exited(e.PID, e.TID, e.ProcessOver, e.CPUTime)
}
