package perfscopeprocessor

import (
	"testing"

	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// metricSum adds up a metric's points, those with an attribute's value only.
func metricSum(t *testing.T, tel *componenttest.Telemetry, name, key, value string) (sum int64) {
	t.Helper()
	m, err := tel.GetMetric(name)
	if err != nil {
		return 0
	}
	var points []metricdata.DataPoint[int64]
	switch data := m.Data.(type) {
	case metricdata.Sum[int64]:
		points = data.DataPoints
	case metricdata.Gauge[int64]:
		points = data.DataPoints
	}
	for _, point := range points {
		if v, ok := point.Attributes.Value(attribute.Key(key)); key == "" || ok && v.AsString() == value {
			sum += point.Value
		}
	}
	return sum
}
