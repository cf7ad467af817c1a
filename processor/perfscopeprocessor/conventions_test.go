package perfscopeprocessor

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/perfscope/perfscope/internal/doctest"
)

// TestConventions holds docs/semantic-conventions.md against an anomaly.
func TestConventions(t *testing.T) {
	doctest.HasAll(t, doctest.Conventions, "output.go")
	a := anomalyAt(epoch)
	a.Warmup, a.Deviations[0].Error = true, "EIO"
	attrs := pcommon.NewMap()
	describe(&a, attrs)
	documented(t, "perfscope.anomaly", attrs)
	first := func(key string) pcommon.Map {
		v, ok := attrs.Get(key)
		require.True(t, ok, key)
		return v.Slice().At(0).Map()
	}
	documented(t, attrSuspects, first(attrSuspects))
	deviation := first(attrDeviations)
	documented(t, attrDeviations, deviation)
	for _, key := range []string{"normal", "abnormal"} {
		v, ok := deviation.Get(key)
		require.True(t, ok, key)
		documented(t, "figures", v.Map())
	}
}

// documented holds what was emitted against the table under a heading, both
// ways.
func documented(t *testing.T, heading string, attrs pcommon.Map) {
	t.Helper()
	emitted := map[string]string{}
	for key, v := range attrs.All() {
		emitted[key] = typeName(v)
	}
	assert.Equal(t, doctest.Table(t, doctest.Conventions, heading), emitted, "the document has the expected ones")
}

func typeName(v pcommon.Value) string {
	switch v.Type() {
	case pcommon.ValueTypeStr:
		return "string"
	case pcommon.ValueTypeInt:
		return "int"
	case pcommon.ValueTypeDouble:
		return "double"
	case pcommon.ValueTypeBool:
		return "boolean"
	case pcommon.ValueTypeMap:
		return "map"
	case pcommon.ValueTypeSlice:
		return typeName(v.Slice().At(0)) + "[]"
	}
	return v.Type().String()
}
