package spanhold

import (
	"context"
	"sync"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
)

// Engine is what the pipelines of one component ID share.
type Engine interface {
	Finisher
	// Holding are the holders of its pipelines.
	Holding() *Holders
}

// Pipeline is the life of a processor in one traces pipeline: it joins the shared
// engine in Start, and in Shutdown lets all spans go that its holder has.
type Pipeline[E Engine] struct {
	Holder *Holder

	acquire func() (E, error)
	release func()

	mu     sync.Mutex
	engine *E // nil before Start and after Shutdown
}

// NewPipeline makes a pipeline that is not started yet. Each acquire that succeeds is
// followed by a release.
func NewPipeline[E Engine](h *Holder, acquire func() (E, error), release func()) *Pipeline[E] {
	return &Pipeline[E]{Holder: h, acquire: acquire, release: release}
}

// Capabilities says that events are appended to spans.
func (p *Pipeline[E]) Capabilities() consumer.Capabilities {
	return consumer.Capabilities{MutatesData: true}
}

// Start joins the shared engine.
func (p *Pipeline[E]) Start(context.Context, component.Host) error {
	e, err := p.acquire()
	if err != nil {
		return err
	}
	p.mu.Lock()
	p.engine = &e
	p.mu.Unlock()
	e.Holding().Add(p.Holder)
	p.Holder.Start(e)
	return nil
}

// Shutdown lets all spans go, with what is known by now, and leaves the engine.
func (p *Pipeline[E]) Shutdown(ctx context.Context) error {
	p.mu.Lock()
	e := p.engine
	p.engine = nil
	p.mu.Unlock()
	if e == nil {
		return nil
	}
	(*e).Holding().Remove(p.Holder)
	err := p.Holder.Stop(ctx, *e)
	p.release()
	return err
}

// Engine is the shared engine; false before Start and after Shutdown.
func (p *Pipeline[E]) Engine() (e E, running bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.engine == nil {
		return e, false
	}
	return *p.engine, true
}
