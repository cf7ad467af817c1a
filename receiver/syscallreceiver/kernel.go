package syscallreceiver

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/perfscope/perfscope/internal/capture"
	"github.com/perfscope/perfscope/internal/stack"
	"github.com/perfscope/perfscope/pkg/threadtrace"
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
	c.Continuous = false // the hooks are attached once there is a target
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
func (k *kernelTracer) DeliverAtOnce(pid int32) error { return k.tracer.DeliverAtOnce(pid) }

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
		out[i] = event{c.PID, c.TID, threadtrace.Event{
			Kind: threadtrace.KindInFlight, Time: c.Start, Duration: int64(c.Duration), Number: c.Number,
		}}
	}
	return out
}

func (k *kernelTracer) Sockets(take func(process int32, namespace, protocol uint32, message []byte) bool) error {
	return k.tracer.Sockets(func(s capture.Socket) bool { return take(s.PID, s.Namespace, s.Protocol, s.Message) })
}

func (k *kernelTracer) Stats() tracerStats {
	s := k.tracer.Stats()
	out := tracerStats{
		Dropped: s.Dropped, Attached: s.Attached, SamplePeriod: k.tracer.SamplePeriod(), Memory: s.Memory,
		Recorded: s.Produced, Passed: s.Passed, Woken: s.Woken, Stacks: s.Stacks, Tax: s.Tax, Skipped: map[uint16]uint64{}, Groups: map[uint16]uint64{},
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

func (k *kernelTracer) LastRead() time.Time { return k.tracer.LastRead() }

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
		if t.earlier != nil && c.Start+int64(c.Duration) < t.since {
			t, th = g.owner(c.PID, c.Start+int64(c.Duration)), nil
			g.call(t, t.thread(c.TID), c)
			t = nil
			continue
		}
		if th == nil || tid != c.TID {
			th, tid = t.thread(c.TID), c.TID
		}
		g.call(t, th, c)
		if g.pending >= g.cfg.maxPending() {
			g.flushEvents()
			t = nil // it may be forgotten
		}
	}
	g.stats.kinds[threadtrace.KindCall] += uint64(len(batch))
}

// call keeps a finished call of a thread.
func (g *gatherer) call(t *target, th *thread, c *capture.Call) {
	e := th.room(&g.buffers)
	*e = threadtrace.Event{
		Kind: threadtrace.KindCall, Time: c.Start, Duration: int64(c.Duration),
		Number: c.Number, Return: c.Return, Stack: c.StackID, Delay: int64(c.Delay),
	}
	if c.Flags&capture.FlagUnreturned != 0 {
		e.Return = 0
	}
	if c.Flags&capture.FlagCut != 0 {
		t.cut(e)
	}
	t.received++
	g.pending++
}

func (h *kernelHandler) Stack(s *capture.RawStack) {
	h.g.stack(rawStack{
		ID: s.ID, PID: s.PID, TID: s.TID, Time: s.Time, Blocked: s.Kind == capture.StackBlocked, Sampled: s.Kind == capture.StackAtSample, Copy: stack.Copy{Bytes: s.Bytes, Pages: s.Pages},
		Regs: stack.Registers{IP: s.Regs.IP, SP: s.Regs.SP, BP: s.Regs.BP, LR: s.Regs.LR},
	})
}

func (h *kernelHandler) Sample(s capture.Sample) {
	h.g.mu.Lock()
	defer h.g.mu.Unlock()
	h.g.event(event{s.PID, s.TID, threadtrace.Event{
		Kind: threadtrace.KindSample, Time: s.Time, Number: s.Number, Stack: s.StackID,
		Duration: int64(s.Period),
	}})
}

func (h *kernelHandler) Snapshot(s *capture.Snapshot) {
	h.g.mu.Lock()
	defer h.g.mu.Unlock()
	for i := range s.Threads {
		th := &s.Threads[i]
		h.g.target(th.PID).used(th.TID, usage{th.CPUTime, th.RunDelay})
		// A thread that runs, or could, waits for nothing; nor does one that is stopped.
		if th.Flags&capture.ThreadBlocked == 0 || !h.g.target(th.PID).lacked.see(th.State, s.Interval) {
			continue
		}
		h.g.event(event{th.PID, th.TID, threadtrace.Event{
			Kind: threadtrace.KindBlocked, Time: s.Time, Duration: int64(s.Interval),
			Elapsed: elapsed(th.Since+int64(th.Delay), s.Time), Delay: int64(th.Delay), Number: th.Number, Stack: th.StackID,
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
		h.g.event(event{c.PID, c.TID, threadtrace.Event{
			Kind: threadtrace.KindInFlight, Time: c.Start, Duration: int64(c.Duration), Number: c.Number, Cut: true,
		}})
	}
	h.g.traced.edge(e.On, e.Time)
}

func (h *kernelHandler) Context(c capture.Context) {
	h.g.mu.Lock()
	defer h.g.mu.Unlock()
	h.g.context(c.PID, c.TID, threadtrace.Context{Time: c.Time, TraceID: c.TraceID, ParentID: c.ParentID})
}

func (h *kernelHandler) Waking(w capture.Waking) {
	by := threadtrace.WakerThread
	switch {
	case w.Flags&capture.WakingInterrupt != 0:
		by = threadtrace.WakerInterrupt
	case w.Flags&capture.WakingKernel != 0:
		by = threadtrace.WakerKernel
	}
	h.g.mu.Lock()
	defer h.g.mu.Unlock()
	h.g.waking(w.PID, w.TID, threadtrace.Waking{
		Time: w.Time, Start: w.Start, Number: w.Number, By: by, Process: w.WakerPID, Thread: w.WakerTID, Name: w.Waker,
		Stack: w.StackID, WakerStack: w.WakerStackID, Uninterruptible: w.Flags&capture.WakingUninterruptible != 0,
	})
}

func (h *kernelHandler) Fork(f capture.Fork) {
	if f.PID == f.ParentPID {
		return // a new thread: its events will tell
	}
	h.g.mu.Lock()
	defer h.g.mu.Unlock()
	h.g.forked(f.ParentPID, f.PID, f.Time)
}

func (h *kernelHandler) Exec(e capture.Exec) {
	h.g.mu.Lock()
	defer h.g.mu.Unlock()
	h.g.execed(e.PID, e.Time)
}

func (h *kernelHandler) Exit(e capture.Exit) {
	h.g.mu.Lock()
	defer h.g.mu.Unlock()
	h.g.exited(e.PID, e.TID, e.ProcessOver, e.Time, usage{e.CPUTime, e.RunDelay})
}
