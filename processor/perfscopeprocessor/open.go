package perfscopeprocessor

import (
	"context"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// openAnomalies counts the open anomalies by the name of their service, zero for
// those that have none. It is bounded by the services that are held, and safe for
// concurrent use.
type openAnomalies struct {
	mu     sync.Mutex
	byName map[string]openCount
}

type openCount struct{ instances, open int }

// add changes how many instances a service has, and how many of them have an
// open anomaly.
func (o *openAnomalies) add(name string, instances, open int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.byName == nil {
		o.byName = map[string]openCount{}
	}
	c := o.byName[name]
	c.instances += instances
	c.open += open
	if c.instances <= 0 {
		delete(o.byName, name)
		return
	}
	o.byName[name] = c
}

// observe is the callback of the gauge.
func (o *openAnomalies) observe(_ context.Context, to metric.Int64Observer) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	for name, c := range o.byName {
		to.Observe(int64(c.open), metric.WithAttributeSet(attribute.NewSet(attribute.String("service.name", name))))
	}
	return nil
}
