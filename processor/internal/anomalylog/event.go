package anomalylog

import (
	"unicode/utf8"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/perfscope/perfscope/internal/correlate"
	"github.com/perfscope/perfscope/pkg/inference"
)

// MaxEventBytes bounds an anomaly on a span, as it is on the wire: spans are
// many, and its log record says the rest once.
const MaxEventBytes = 600

// MaxURL bounds an address in bytes, which comes on top of MaxEventBytes: a longer one
// is left out of a span's event.
const MaxURL = 200

const (
	// leastSentence, and leastName of a function or service, are what is left of
	// them in bytes when they have to be cut.
	leastSentence = 60
	leastName     = 64
	ellipsis      = "…"
)

// Short is what a span says of an anomaly.
type Short struct {
	ID, Sentence, Function, Pattern string
	Score                           float64
	// URL is where all of it can be seen, empty when it cannot.
	URL string
}

// ShortOf is the short form of an anomaly.
func ShortOf(a *inference.Anomaly) Short {
	s := Short{ID: a.ID, Sentence: UTF8(a.Summary), Pattern: a.Pattern, Score: a.Score}
	if len(a.Suspects) > 0 {
		s.Function = UTF8(a.Suspects[0].Function)
	}
	return s
}

// AppendEvent appends an anomaly to a span; called is the name of the service
// that the span calls, if it is that one's. An event that is there already, as
// when an agent and a gateway both do this, is left as it is: false.
func AppendEvent(span ptrace.Span, m *correlate.Match[Short], called string) bool {
	short := &m.Verdict.Value
	for _, ev := range span.Events().All() {
		if ev.Name() == Event && Text(ev.Attributes(), AttrID) == short.ID {
			return false
		}
	}
	ev := span.Events().AppendEmpty()
	ev.SetName(Event)
	ev.SetTimestamp(pcommon.Timestamp(m.At))
	attrs := ev.Attributes()
	attrs.EnsureCapacity(10)
	// What a person reads comes first: backends show the fields in their order.
	putText(attrs, AttrSummary, short.Sentence)
	putText(attrs, AttrURL, short.URL)
	putText(attrs, AttrID, short.ID)
	putText(attrs, AttrFunction, short.Function)
	putText(attrs, AttrPattern, short.Pattern)
	attrs.PutDouble(AttrScore, short.Score)
	attrs.PutStr(AttrMatchResource, string(m.Service.Tie))
	attrs.PutStr(AttrMatchBy, string(m.Way))
	attrs.PutDouble(AttrMatchConfidence, inference.Round(m.Confidence()))
	putText(attrs, AttrPeerService, called)
	Fit(ev, AttrSummary)
	return true
}

// Fit cuts the texts of an event, the sentence first, until it has at most
// MaxEventBytes without its address, of which a part would be none. sentence is the
// attribute that has it.
func Fit(ev ptrace.SpanEvent, sentence string) {
	for _, text := range [...]struct {
		key   string
		least int
	}{{sentence, leastSentence}, {AttrFunction, leastName}, {AttrPeerService, leastName}} {
		over := sizeOf(ev) - MaxEventBytes - sizeOfURL(ev)
		if over <= 0 {
			return
		}
		if v, ok := ev.Attributes().Get(text.key); ok && v.Type() == pcommon.ValueTypeStr {
			v.SetStr(cut(v.Str(), max(text.least, len(v.Str())-over)))
		}
	}
}

// cut shortens a text to at most so many bytes, on the border of a rune.
func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	end := limit - len(ellipsis)
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + ellipsis
}

// sizeOf is the size of an event on the wire, as a field of its span.
func sizeOf(ev ptrace.SpanEvent) int {
	span := ptrace.NewSpan()
	empty := sizer.SpanSize(span)
	ev.CopyTo(span.Events().AppendEmpty())
	return sizer.SpanSize(span) - empty
}

// sizeOfURL is the part of it that is the address, with its key and their lengths.
func sizeOfURL(ev ptrace.SpanEvent) int {
	const lengths = 12
	url := Text(ev.Attributes(), AttrURL)
	if url == "" {
		return 0
	}
	return len(AttrURL) + len(url) + lengths
}

var sizer ptrace.ProtoMarshaler
