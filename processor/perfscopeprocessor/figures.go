package perfscopeprocessor

import (
	"context"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/perfscope/perfscope/pkg/inference"
)

// figures are what the last hop of each service said, for the metrics: a timeline
// while it is healthy, too. It is bounded by the services that are held and safe for
// concurrent use.
type figures struct {
	mu  sync.Mutex
	now map[string]lastHop
}

type lastHop struct {
	inference.HopFigures
	attrs attribute.Set
}

// set enters the last hop of a service.
func (f *figures) set(s *service) {
	if s.stats.Last.End == 0 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.now == nil {
		f.now = map[string]lastHop{}
	}
	h, known := f.now[s.key]
	if !known {
		h.attrs = attribute.NewSet(attribute.String("service.name", s.name), attribute.String("service.instance.id", s.instance))
	}
	h.HopFigures = s.stats.Last
	f.now[s.key] = h
}

func (f *figures) forget(key string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.now, key)
}

// gauge is the callback of a figure; false is none.
func (f *figures) gauge(of func(*inference.HopFigures) (float64, bool)) metric.Float64Callback {
	return func(_ context.Context, to metric.Float64Observer) error {
		f.mu.Lock()
		defer f.mu.Unlock()
		for _, h := range f.now {
			if value, ok := of(&h.HopFigures); ok {
				to.Observe(value, metric.WithAttributeSet(h.attrs))
			}
		}
		return nil
	}
}
