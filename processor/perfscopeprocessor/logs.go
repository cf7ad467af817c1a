package perfscopeprocessor

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/processor"
	"go.uber.org/zap"

	"github.com/perfscope/perfscope/pkg/threadtrace/tracelog"
	"github.com/perfscope/perfscope/processor/internal/logsink"
)

// complainEvery is how often records that cannot be read are logged; all are
// counted.
const complainEvery = 10 * time.Second

// logsHandle is the processor in one logs pipeline. It takes the syscall
// records in and sends anomalies out.
type logsHandle struct {
	sharing *sharedEngines
	set     processor.Settings
	cfg     *Config
	sink    *logsink.Sink

	mu     sync.RWMutex
	engine *engine // nil before Start and after Shutdown

	complained atomic.Int64 // wall clock, ns
}

func newLogsHandle(s *sharedEngines, set processor.Settings, cfg *Config, next consumer.Logs) *logsHandle {
	return &logsHandle{sharing: s, set: set, cfg: cfg, sink: logsink.New(next)}
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
			h.sharing.engines.Release(h.cfg)
			return err
		}
	}
	if err := e.useMemory(ctx, host, h.set.ID); err != nil {
		h.sharing.engines.Release(h.cfg)
		return err
	}
	e.sinks.Add(h.sink)
	e.show(host)
	h.sink.Open(host)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.engine = e
	return nil
}

// Shutdown judges and sends what was delivered, then leaves the engine.
func (h *logsHandle) Shutdown(ctx context.Context) error {
	h.mu.Lock()
	e := h.engine
	h.engine = nil
	h.mu.Unlock()
	if e == nil {
		return nil
	}
	h.sink.Mute()
	err := e.conclude(ctx, h.sink)
	if err != nil {
		h.sink.Abandon() // a next component that does not return
		err = fmt.Errorf("the last hops were not judged: %w", err)
	}
	e.sinks.Remove(h.sink)
	h.sink.Close()
	h.sharing.engines.Release(h.cfg)
	return err
}

// ConsumeLogs takes the syscall records to the analysis and passes the others on.
func (h *logsHandle) ConsumeLogs(ctx context.Context, ld plog.Logs) error {
	h.mu.RLock()
	e := h.engine
	h.mu.RUnlock()
	syscalls, others := logsink.Count(ld, tracelog.IsRecord)
	// What is passed on goes first: when the next component refuses it, the
	// sender tries again, and nothing may be analysed twice.
	var err error
	switch {
	case syscalls == 0 || h.cfg.ForwardSyscalls:
		err = h.sink.Next.ConsumeLogs(ctx, ld)
	case others > 0:
		err = h.sink.Next.ConsumeLogs(ctx, logsink.Without(ld, tracelog.IsRecord))
	}
	if err != nil || syscalls == 0 {
		return err
	}
	if e == nil {
		return errStopped
	}
	e.telemetry.ProcessorPerfscopeRecords.Add(ctx, int64(syscalls))
	leave, err := e.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	e.flight.add(ld, others)
	for _, rl := range ld.ResourceLogs().All() {
		errs, err := decode(rl, e.clock(), func(f *flush) error {
			f.from = h.sink
			if err := e.deliver(ctx, task{flush: f}); err != nil {
				return fmt.Errorf("syscall records of service %q: %w", f.identity.Name, err)
			}
			return nil
		})
		if len(errs) > 0 {
			e.telemetry.ProcessorPerfscopeDecodeErrors.Add(ctx, int64(len(errs)))
			h.complain(errs)
		}
		if err != nil {
			return err
		}
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

// send sends an anomaly by the pipeline its service comes by, if that is
// known, else by any other, and says what became of it.
func (e *engine) send(sink *logsink.Sink, service string, ld plog.Logs) logsink.Result {
	result, err := e.sinks.Send(sink, ld)
	if err != nil {
		e.log.Error("The next component refused an anomaly; it is lost.", zap.String("service.name", service), zap.Error(err))
	}
	return result
}
