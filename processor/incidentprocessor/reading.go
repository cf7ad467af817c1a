package incidentprocessor

import (
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/perfscope/perfscope/internal/blame"
	"github.com/perfscope/perfscope/processor/internal/anomalylog"
)

// suspected reads of an anomaly's attributes what its service is suspected of.
func suspected(attrs pcommon.Map, service string) blame.Anomaly {
	a := blame.Anomaly{ID: anomalylog.ID(attrs), Service: service, Impact: anomalylog.Number(attrs, anomalylog.AttrImpact), Pattern: anomalylog.Name(attrs, anomalylog.AttrPattern)}
	if list, ok := attrs.Get(anomalylog.AttrSuspects); ok && list.Type() == pcommon.ValueTypeSlice {
		for _, v := range list.Slice().All() {
			if v.Type() != pcommon.ValueTypeMap || len(a.Suspects) == blame.MaxPairs {
				continue
			}
			a.Suspects = append(a.Suspects, blame.Suspect{
				Function: anomalylog.Name(v.Map(), anomalylog.AttrFunction), Module: anomalylog.Name(v.Map(), anomalylog.AttrModule), Score: anomalylog.Number(v.Map(), anomalylog.AttrSuspect),
			})
		}
	}
	return a
}
