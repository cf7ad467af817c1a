package tracelog

import (
	"maps"
	"slices"
	"testing"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/perfscope/perfscope/internal/doctest"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// TestConventions holds docs/semantic-conventions.md against the records.
func TestConventions(t *testing.T) {
	doctest.HasAll(t, "../"+doctest.Conventions, "names.go")
	recs := plog.NewLogRecordSlice()
	AppendBatch(recs, FormatPacked, threadtrace.ArchAMD64, exampleBatch())
	AppendBatch(recs, FormatEvent, threadtrace.ArchAMD64, exampleBatch())
	AppendCoverage(recs, exampleCoverage())
	emitted := map[string]map[string]pcommon.ValueType{}
	for _, rec := range recs.All() {
		of := emitted[rec.EventName()]
		if of == nil {
			of = map[string]pcommon.ValueType{}
			emitted[rec.EventName()] = of
		}
		for key, v := range rec.Attributes().All() {
			of[key] = v.Type()
		}
	}
	if len(emitted) != 3 {
		t.Fatalf("the examples are of %v only", slices.Collect(maps.Keys(emitted)))
	}
	types := map[pcommon.ValueType]string{
		pcommon.ValueTypeStr: "string", pcommon.ValueTypeInt: "int", pcommon.ValueTypeDouble: "double", pcommon.ValueTypeMap: "map", pcommon.ValueTypeBool: "boolean",
	}
	for event, attrs := range emitted {
		documented := doctest.Table(t, "../"+doctest.Conventions, event)
		for key, typ := range attrs {
			if documented[key] != types[typ] {
				t.Errorf("%s: %s is %s, documented as %q", event, key, types[typ], documented[key])
			}
		}
		for key := range documented {
			if _, there := attrs[key]; !there {
				t.Errorf("%s: %s is documented and not emitted by the example", event, key)
			}
		}
	}
}
