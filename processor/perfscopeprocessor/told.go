package perfscopeprocessor

import (
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/perfscope/perfscope/internal/blame"
	"github.com/perfscope/perfscope/internal/correlate"
	"github.com/perfscope/perfscope/internal/suspect"
)

// toldAnomaly reads what matters across services of an anomaly's attributes.
func toldAnomaly(attrs pcommon.Map, service string) blame.Anomaly {
	a := blame.Anomaly{ID: textOf(attrs, attrID), Service: service, Impact: numberOf(attrs, attrImpact), Pattern: textOf(attrs, attrPattern)}
	if list, ok := attrs.Get(attrSuspects); ok && list.Type() == pcommon.ValueTypeSlice {
		for _, v := range list.Slice().All() {
			if v.Type() != pcommon.ValueTypeMap || len(a.Suspects) == blame.MaxPairs {
				continue
			}
			a.Suspects = append(a.Suspects, blame.Suspect{
				Function: textOf(v.Map(), attrFunction), Module: textOf(v.Map(), attrModule), Score: numberOf(v.Map(), attrSuspect),
			})
		}
	}
	return a
}

// toldVerdict makes a verdict of an anomaly's log record; false when it does
// not say when.
func toldVerdict(rec plog.LogRecord) (correlate.Verdict[pcommon.Map], bool) {
	attrs := rec.Attributes()
	v := correlate.Verdict[pcommon.Map]{
		Episode: textOf(attrs, attrID), Score: numberOf(attrs, attrScore),
		Start: instantOf(attrs, attrStart), End: instantOf(attrs, attrEnd),
	}
	if first, last := instantOf(attrs, attrFirst), instantOf(attrs, attrLast); first != 0 && last >= first {
		v.Units = []suspect.Span{{Start: first, End: last}} // of no thread in particular
	}
	if v.Episode == "" || v.Start == 0 || v.End < v.Start {
		return v, false
	}
	v.Value = copied(attrs)
	return v, true
}

func textOf(attrs pcommon.Map, key string) string {
	v, ok := attrs.Get(key)
	if !ok {
		return ""
	}
	return v.AsString()
}

func numberOf(attrs pcommon.Map, key string) float64 {
	v, ok := attrs.Get(key)
	switch {
	case !ok:
		return 0
	case v.Type() == pcommon.ValueTypeInt:
		return float64(v.Int())
	}
	return v.Double()
}

// instantOf reads RFC 3339; zero when it is none.
func instantOf(attrs pcommon.Map, key string) int64 {
	t, err := time.Parse(time.RFC3339Nano, textOf(attrs, key))
	if err != nil {
		return 0
	}
	return t.UnixNano()
}

// isRepeat reports whether a record is an anomaly that says nothing new.
func isRepeat(rec plog.LogRecord) bool {
	v, ok := rec.Attributes().Get(attrRepeat)
	return ok && v.Type() == pcommon.ValueTypeBool && v.Bool() && rec.EventName() == eventAnomaly
}

func repeats(ld plog.Logs) bool {
	for _, rl := range ld.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			for _, rec := range sl.LogRecords().All() {
				if isRepeat(rec) {
					return true
				}
			}
		}
	}
	return false
}
