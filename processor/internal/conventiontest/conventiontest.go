// Package conventiontest lets the tests of components compare what they emit with
// docs/semantic-conventions.md.
package conventiontest

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/perfscope/perfscope/internal/doctest"
)

// Documented compares what was emitted with the table under a heading, both
// ways.
func Documented(t testing.TB, heading string, attrs pcommon.Map) {
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
