package incidentprocessor

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/processor"
	"go.uber.org/zap"

	"github.com/perfscope/perfscope/processor/internal/anomalylog"
	"github.com/perfscope/perfscope/processor/internal/logsink"
)

// complainEvery is how often anomalies that cannot be read are logged; all are
// counted.
const complainEvery = 10 * time.Second

// logsHandle is the processor in one logs pipeline. It learns the anomalies that
// come by and sends incidents out.
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

// Capabilities says that records are never changed: what is passed on in part
// is a copy.
func (h *logsHandle) Capabilities() consumer.Capabilities { return consumer.Capabilities{} }

// Start joins the shared engine.
func (h *logsHandle) Start(_ context.Context, host component.Host) error {
	e, err := h.sharing.acquire(h.cfg, h.set)
	if err != nil {
		return err
	}
	e.sinks.Add(h.sink)
	h.sink.Open(host)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.engine = e
	return nil
}

// Shutdown reports what is known by now, then leaves the engine.
func (h *logsHandle) Shutdown(context.Context) error {
	h.mu.Lock()
	e := h.engine
	h.engine = nil
	h.mu.Unlock()
	if e == nil {
		return nil
	}
	h.sink.Mute()
	e.reportIncidents(e.clock())
	e.sinks.Remove(h.sink)
	h.sink.Close()
	h.sharing.engines.Release(h.cfg)
	return nil
}

// ConsumeLogs learns the anomalies of a payload, and passes on what is not a
// repeat that was meant for here only.
func (h *logsHandle) ConsumeLogs(ctx context.Context, ld plog.Logs) error {
	h.mu.RLock()
	e := h.engine
	h.mu.RUnlock()
	repeats, others := logsink.Count(ld, anomalylog.IsRepeat)
	var err error
	switch {
	case repeats == 0:
		err = h.sink.Next.ConsumeLogs(ctx, ld)
	case others > 0:
		err = h.sink.Next.ConsumeLogs(ctx, logsink.Without(ld, anomalylog.IsRepeat))
	}
	if err != nil || e == nil {
		return err // what is refused comes again
	}
	if bad := e.causes.learn(ld, e.clock()); bad > 0 {
		e.telemetry.ProcessorIncidentDecodeErrors.Add(ctx, int64(bad))
		h.complain(bad)
	}
	return nil
}

func (h *logsHandle) complain(bad int) {
	now, last := time.Now().UnixNano(), h.complained.Load()
	if now-last < int64(complainEvery) || !h.complained.CompareAndSwap(last, now) {
		return
	}
	h.set.Logger.Warn("Anomalies could not be read and were left out: they are without perfscope.anomaly.id, or without the time that they are about. Further ones are counted in processor_incident_decode_errors.",
		zap.Int("in_this_payload", bad))
}
