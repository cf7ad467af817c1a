package perfscopeprocessor

import (
	"context"
	"sync"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/xconsumer"
	"go.opentelemetry.io/collector/pdata/pprofile"
	"go.opentelemetry.io/collector/processor"

	"github.com/perfscope/perfscope/processor/internal/otlpprofile"
)

// profilesHandle is the processor in one profiles pipeline. It reads what profiles
// tell of watched services, and passes all of them on as they came.
type profilesHandle struct {
	sharing *sharedEngines
	set     processor.Settings
	cfg     *Config
	next    xconsumer.Profiles

	mu     sync.RWMutex
	engine *engine // nil before Start and after Shutdown
}

func newProfilesHandle(s *sharedEngines, set processor.Settings, cfg *Config, next xconsumer.Profiles) *profilesHandle {
	return &profilesHandle{sharing: s, set: set, cfg: cfg, next: next}
}

// Capabilities says that profiles are never changed.
func (h *profilesHandle) Capabilities() consumer.Capabilities { return consumer.Capabilities{} }

// Start joins the shared engine.
func (h *profilesHandle) Start(context.Context, component.Host) error {
	e, err := h.sharing.acquire(h.cfg, h.set)
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.engine = e
	return nil
}

// Shutdown leaves the engine.
func (h *profilesHandle) Shutdown(context.Context) error {
	h.mu.Lock()
	e := h.engine
	h.engine = nil
	h.mu.Unlock()
	if e != nil {
		h.sharing.engines.Release(h.cfg)
	}
	return nil
}

// ConsumeProfiles passes profiles on, and what they tell of watched services to the
// analysis: once the next component has taken them, since they come again if not.
func (h *profilesHandle) ConsumeProfiles(ctx context.Context, pd pprofile.Profiles) error {
	h.mu.RLock()
	e := h.engine
	h.mu.RUnlock()
	var sampled []*sampled
	if e != nil {
		sampled = e.readProfiles(pd)
	}
	if err := h.next.ConsumeProfiles(ctx, pd); err != nil {
		return err
	}
	for _, s := range sampled {
		e.deliverSampled(s)
	}
	return nil
}

// readProfiles copies the samples of watched services out of profiles, and counts the
// others.
func (e *engine) readProfiles(pd pprofile.Profiles) []*sampled {
	watched := e.watched.Load()
	d := otlpprofile.NewDecoder(pd, e.clock().Add(maxAhead))
	byService := map[string]*sampled{}
	var out []*sampled
	for _, rp := range pd.ResourceProfiles().All() {
		process := otlpprofile.ProcessOf(rp.Resource().Attributes())
		key, ok := watched.Service(&process)
		if !ok {
			e.countSamples("unmatched", otlpprofile.Count(rp))
			continue
		}
		s := byService[key]
		if s == nil {
			s = &sampled{service: key}
			byService[key] = s
			out = append(out, s)
		}
		s.add(d.Read(rp))
	}
	for reason, n := range d.Refused {
		e.countSamples(reason, n)
	}
	return out
}
