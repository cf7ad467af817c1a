package perfscopeprocessor

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/perfscope/perfscope/internal/blame"
	"github.com/perfscope/perfscope/internal/correlate"
	"github.com/perfscope/perfscope/internal/doctest"
)

// TestConventions holds docs/semantic-conventions.md against an anomaly.
func TestConventions(t *testing.T) {
	for _, file := range []string{"output.go", "annotate.go", "resource.go", "incident.go", "../../internal/correlate/identity.go"} {
		doctest.HasAll(t, doctest.Conventions, file)
	}
	a := anomalyAt(epoch)
	a.Warmup, a.Deviations[0].Error = true, "EIO"
	attrs := pcommon.NewMap()
	describe(&a, attrs)
	attrs.PutBool(attrRepeat, true) // of log records only
	documented(t, "perfscope.anomaly", attrs)
	first := func(key string) pcommon.Map {
		v, ok := attrs.Get(key)
		require.True(t, ok, key)
		return v.Slice().At(0).Map()
	}
	documented(t, attrSuspects, first(attrSuspects))
	match := pcommon.NewMap()
	describeMatch(&correlate.Match[pcommon.Map]{Service: correlate.Candidate{Tie: correlate.TieServerAddress}}, "redis", match)
	documented(t, "perfscope.match", match)
	ranking := blame.Ranking{{Service: "redis", Function: "f", Module: "m", Role: blame.Cause, Anomaly: "1", Pattern: "p"}}
	in := incident{ranking: ranking, resource: pcommon.NewMap()}
	told := in.logs("1").ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0).Attributes()
	documented(t, "perfscope.incident", told)
	causes, ok := told.Get(attrCauses)
	require.True(t, ok)
	documented(t, attrCauses, causes.Slice().At(0).Map())
	on := pcommon.NewMap()
	on.PutStr(attrID, "1")
	decorateAnomaly(on, "redis", ranking)
	on.Remove(attrID)
	documented(t, "perfscope.cause", on)
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
