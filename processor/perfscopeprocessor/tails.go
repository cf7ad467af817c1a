package perfscopeprocessor

import (
	"context"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/perfscope/perfscope/pkg/inference"
)

// tails are what the slow requests of the services cost, for the gauge. It is bounded
// by the services that are held and safe for concurrent use.
type tails struct {
	mu       sync.Mutex
	services map[string]tailsOf
}

type tailsOf struct {
	name  string
	kinds []tailTime
}

// tailTime is the share of the time of a kind's requests that is the explained part of
// what slow ones take longer.
type tailTime struct {
	kind  string
	share float64
}

func (t *tails) set(name, key string, list []inference.Tail) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(list) == 0 {
		delete(t.services, key)
		return
	}
	if t.services == nil {
		t.services = map[string]tailsOf{}
	}
	of := tailsOf{name: name}
	for i := range list {
		x := &list[i]
		slow, fast := x.Slow.Seconds(), x.Fast.Seconds()
		all := x.Share*slow + (1-x.Share)*fast
		if all > 0 {
			of.kinds = append(of.kinds, tailTime{x.Kind, x.Explained * x.Share * max(0, slow-fast) / all})
		}
	}
	t.services[key] = of
}

func (t *tails) forget(key string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.services, key)
}

// observe is the callback of the gauge: of the instances of a service the largest.
func (t *tails) observe(_ context.Context, to metric.Float64Observer) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	most := map[[2]string]float64{}
	for _, of := range t.services {
		for _, k := range of.kinds {
			at := [2]string{of.name, k.kind}
			most[at] = max(most[at], k.share)
		}
	}
	for at, share := range most {
		to.Observe(share, metric.WithAttributeSet(attribute.NewSet(attribute.String("service.name", at[0]), attribute.String("perfscope.tail.kind", at[1]))))
	}
	return nil
}
