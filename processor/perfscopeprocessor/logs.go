package perfscopeprocessor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/processor"
	"go.uber.org/zap"

	"github.com/perfscope/perfscope/internal/syscalllog"
)

// complainEvery is how often records that cannot be read are logged; all are
// counted.
const complainEvery = 10 * time.Second

// logsHandle is the processor in one logs pipeline. It takes the syscall
// records in and sends anomalies out.
type logsHandle struct {
	sharing *sharing
	set     processor.Settings
	cfg     *Config
	next    consumer.Logs

	// ctx is for sending anomalies, which no delivery waits for.
	ctx    context.Context
	cancel context.CancelFunc

	mu     sync.RWMutex
	engine *engine // nil before Start and after Shutdown
	host   component.Host
	// sending is held while an anomaly is being sent.
	sending  sync.Mutex
	ended    bool // under sending
	troubled atomic.Bool

	complained atomic.Int64 // wall clock, ns
}

func newLogsHandle(s *sharing, set processor.Settings, cfg *Config, next consumer.Logs) *logsHandle {
	h := &logsHandle{sharing: s, set: set, cfg: cfg, next: next}
	h.ctx, h.cancel = context.WithCancel(context.Background())
	return h
}

// Capabilities says that records are never changed: what is forwarded in part
// is a copy.
func (h *logsHandle) Capabilities() consumer.Capabilities { return consumer.Capabilities{} }

// Start joins the shared engine.
func (h *logsHandle) Start(ctx context.Context, host component.Host) error {
	e, err := h.sharing.acquire(h.cfg, h.set)
	if err != nil {
		return err
	}
	if id := h.cfg.Signatures.Storage; id != nil {
		if err := e.signatures.learned.useStorage(ctx, host, *id, h.set.ID); err != nil {
			h.sharing.release(h.cfg)
			return err
		}
	}
	e.mu.Lock()
	e.logs = append(e.logs, h)
	e.mu.Unlock()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.engine, h.host = e, host
	return nil
}

// Shutdown judges and sends what was delivered, then leaves the engine.
func (h *logsHandle) Shutdown(ctx context.Context) error {
	h.mu.Lock()
	e := h.engine
	h.engine = nil
	h.mu.Unlock()
	defer h.cancel()
	if e == nil {
		return nil
	}
	err := e.conclude(ctx)
	if err != nil {
		h.cancel() // a next component that does not return
		err = fmt.Errorf("the last hops were not judged: %w", err)
	}
	e.mu.Lock()
	e.logs = slices.DeleteFunc(e.logs, func(o *logsHandle) bool { return o == h })
	e.mu.Unlock()
	h.sending.Lock()
	h.ended = true
	h.sending.Unlock()
	h.sharing.release(h.cfg)
	return err
}

// ConsumeLogs takes the syscall records to the analysis and passes the others on.
func (h *logsHandle) ConsumeLogs(ctx context.Context, ld plog.Logs) error {
	h.mu.RLock()
	e := h.engine
	h.mu.RUnlock()
	if e != nil && e.across != nil {
		return h.pass(ctx, e, ld)
	}
	syscalls, others := count(ld)
	// What is passed on goes first: when the next component refuses it, the
	// sender tries again, and nothing may be analysed twice.
	var err error
	switch {
	case syscalls == 0 || h.cfg.ForwardSyscalls:
		err = h.next.ConsumeLogs(ctx, ld)
	case others > 0:
		err = h.next.ConsumeLogs(ctx, without(ld, syscalllog.IsRecord))
	}
	if err != nil || syscalls == 0 {
		return err
	}
	if e == nil {
		return errStopped
	}
	e.telemetry.ProcessorPerfscopeRecords.Add(ctx, int64(syscalls))
	for _, rl := range ld.ResourceLogs().All() {
		f, errs := decode(rl, e.clock())
		if len(errs) > 0 {
			e.telemetry.ProcessorPerfscopeDecodeErrors.Add(ctx, int64(len(errs)))
			h.complain(errs)
		}
		if f == nil {
			continue
		}
		f.from = h
		if err := e.deliver(ctx, task{flush: f}); err != nil {
			return fmt.Errorf("syscall records of service %q: %w", f.identity.Name, err)
		}
	}
	return nil
}

// pass learns the anomalies of a payload, and passes on what is not a repeat
// that was meant for here only.
func (h *logsHandle) pass(ctx context.Context, e *engine, ld plog.Logs) error {
	out := ld
	if repeats(ld) {
		out = without(ld, isRepeat)
	}
	if out.ResourceLogs().Len() > 0 || ld.ResourceLogs().Len() == 0 {
		if err := h.next.ConsumeLogs(ctx, out); err != nil {
			return err // it comes again
		}
	}
	if bad := e.across.learn(ld); bad > 0 {
		e.telemetry.ProcessorPerfscopeDecodeErrors.Add(ctx, int64(bad))
		h.complain([]error{errors.New("an anomaly without perfscope.anomaly.id, or without the time it is about")})
	}
	return nil
}

func (h *logsHandle) complain(errs []error) {
	now, last := time.Now().UnixNano(), h.complained.Load()
	if now-last < int64(complainEvery) || !h.complained.CompareAndSwap(last, now) {
		return
	}
	h.set.Logger.Warn("Syscall records could not be read and were left out; further ones are counted in processor_perfscope_decode_errors.",
		zap.Error(errs[0]), zap.Int("in_this_payload", len(errs)))
}

// emit sends an anomaly; it reports false when the pipeline has ended.
func (h *logsHandle) emit(ld plog.Logs) (bool, error) {
	h.sending.Lock()
	defer h.sending.Unlock()
	if h.ended {
		return false, nil
	}
	return true, h.next.ConsumeLogs(h.ctx, ld)
}

// report tells the collector about trouble, or that it is over.
func (h *logsHandle) report(ev *componentstatus.Event) {
	bad := ev.Status() != componentstatus.StatusOK
	if !h.troubled.Swap(bad) && !bad {
		return // it was well before
	}
	h.mu.RLock()
	defer h.mu.RUnlock()
	if h.host != nil && h.engine != nil {
		componentstatus.ReportStatus(h.host, ev)
	}
}

// send sends an anomaly by the pipeline its service comes by, if that is
// known, else by any other, and says what became of it.
func (e *engine) send(sink *logsHandle, service string, ld plog.Logs) (result string) {
	e.mu.Lock()
	ways := slices.Clone(e.logs)
	e.mu.Unlock()
	if sink != nil {
		// First in order; it refuses by itself when it has ended.
		ways = append([]*logsHandle{sink}, slices.DeleteFunc(ways, func(h *logsHandle) bool { return h == sink })...)
	}
	for _, h := range ways {
		open, err := h.emit(ld)
		if !open {
			continue
		}
		if err != nil {
			// Trying again is the exporters' business.
			e.log.Error("The next component refused an anomaly; it is lost.", zap.String("service.name", service), zap.Error(err))
			h.report(componentstatus.NewRecoverableErrorEvent(errors.Join(errors.New("an anomaly could not be passed on"), err)))
			return "failed"
		}
		h.report(componentstatus.NewEvent(componentstatus.StatusOK))
		return "sent"
	}
	return "no_pipeline"
}
