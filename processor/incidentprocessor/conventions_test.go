package incidentprocessor

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/perfscope/perfscope/internal/blame"
	"github.com/perfscope/perfscope/internal/doctest"
	"github.com/perfscope/perfscope/processor/internal/anomalylog"
	"github.com/perfscope/perfscope/processor/internal/conventiontest"
)

// TestConventions holds docs/semantic-conventions.md against an incident.
func TestConventions(t *testing.T) {
	doctest.HasAll(t, doctest.Conventions, "incident.go")
	ranking := blame.Ranking{{Service: "redis", Function: "f", Module: "m", Role: blame.Cause, Anomalies: []string{"1"}, Pattern: "p"}}
	ld := incidentRecord(anomalylog.Scope{}, &blame.Incident{ID: "2", State: blame.Raised, Group: blame.Group{Ranking: ranking}}, pcommon.NewMap())
	said := ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0).Attributes()
	span := ptrace.NewSpan()
	on := span.Events().AppendEmpty()
	on.SetName(anomalylog.Event)
	on.Attributes().PutStr(anomalylog.AttrID, "1")
	decorate(span, ranking)
	for key, v := range span.Events().At(1).Attributes().All() {
		if _, there := said.Get(key); !there { // the sentence
			v.CopyTo(said.PutEmpty(key))
		}
	}
	conventiontest.Documented(t, "perfscope.incident", said)
	causes, ok := said.Get(attrCauses)
	require.True(t, ok)
	conventiontest.Documented(t, attrCauses, causes.Slice().At(0).Map())
	on = span.Events().At(0)
	on.Attributes().Remove(anomalylog.AttrID)
	conventiontest.Documented(t, "perfscope.cause", on.Attributes())
}
