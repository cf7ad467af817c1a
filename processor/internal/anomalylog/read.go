package anomalylog

import (
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/perfscope/perfscope/internal/cleantext"
	"github.com/perfscope/perfscope/internal/correlate"
	"github.com/perfscope/perfscope/pkg/inference"
)

// Verdict makes a verdict of the log record of an anomaly that is not cleared;
// false when it does not say when. Of texts only what a span's event can hold is
// kept: anybody may send such a record, and many verdicts are remembered.
func Verdict(rec plog.LogRecord) (correlate.Verdict[Short], bool) {
	attrs := rec.Attributes()
	v := correlate.Verdict[Short]{
		Episode: ID(attrs), Score: Number(attrs, AttrScore),
		Start: Instant(attrs, AttrStart), End: Instant(attrs, AttrEnd),
	}
	v.Value = Short{ID: v.Episode, Function: Name(attrs, AttrFunction), Pattern: Name(attrs, AttrPattern), Score: v.Score}
	if body := rec.Body(); body.Type() == pcommon.ValueTypeStr {
		v.Value.Sentence = cleantext.Clean(body.Str(), MaxEventBytes)
	}
	if url := Text(attrs, AttrURL); len(url) <= MaxURL {
		v.Value.URL = url
	}
	if first, last := Instant(attrs, AttrFirst), Instant(attrs, AttrLast); first != 0 && last >= first {
		v.Units = []inference.Span{{Start: first, End: last}} // of no thread in particular
	}
	return v, v.Episode != "" && v.Start != 0 && v.End >= v.Start
}

// ID is the id of an anomaly, cut to what is remembered of it.
func ID(attrs pcommon.Map) string { return cleantext.Clean(Text(attrs, AttrID), cleantext.MaxName) }

// Name is Text of an attribute that is a name, cut to what is remembered of it.
func Name(attrs pcommon.Map, key string) string {
	return cleantext.Clean(Text(attrs, key), cleantext.MaxFunction)
}

// IsCleared reports whether a record says that an anomaly is over.
func IsCleared(rec plog.LogRecord) bool {
	return rec.EventName() == Event && Text(rec.Attributes(), AttrState) == string(inference.StateCleared)
}

// Text reads an attribute as text; empty when it is not there.
func Text(attrs pcommon.Map, key string) string {
	v, ok := attrs.Get(key)
	if !ok {
		return ""
	}
	return v.AsString()
}

// Number reads an attribute as a number; zero when it is none.
func Number(attrs pcommon.Map, key string) float64 {
	v, ok := attrs.Get(key)
	switch {
	case !ok:
		return 0
	case v.Type() == pcommon.ValueTypeInt:
		return float64(v.Int())
	}
	return v.Double()
}

// Instant reads RFC 3339, in nanoseconds since the Unix epoch; zero when it is
// none.
func Instant(attrs pcommon.Map, key string) int64 {
	t, err := time.Parse(time.RFC3339Nano, Text(attrs, key))
	if err != nil {
		return 0
	}
	return t.UnixNano()
}

// IsRepeat reports whether a record is an anomaly that says nothing new.
func IsRepeat(rec plog.LogRecord) bool {
	v, ok := rec.Attributes().Get(AttrRepeat)
	return ok && v.Type() == pcommon.ValueTypeBool && v.Bool() && rec.EventName() == Event
}
