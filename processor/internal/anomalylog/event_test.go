package anomalylog

import (
	"strings"
	"testing"
	"unicode/utf8"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/perfscope/perfscope/internal/correlate"
	"github.com/perfscope/perfscope/pkg/inference"
)

// TestEventsAreShort: whatever the names are, an event has 600 bytes at most, is
// cut on the border of a rune, and says what can be said.
func TestEventsAreShort(t *testing.T) {
	long := strings.Repeat("template<Größe>::", 200)
	for name, a := range map[string]inference.Anomaly{
		"usual": {
			ID: "0c8f5a1be2d94f37", Pattern: inference.PatternSyncWrite, Score: 2.67, Suspects: []inference.Suspect{{Function: "flushAppendOnlyFile"}},
			Summary: "shop: 41 % of its active time since 14:03:20 goes beyond its past: flushAppendOnlyFile (redis-server) waits in fdatasync on every write; fdatasync rose from 1 to 499 per second.",
		},
		"long function":   {ID: "1", Suspects: []inference.Suspect{{Function: long}}, Summary: "short"},
		"long sentence":   {ID: "2", Suspects: []inference.Suspect{{Function: "f"}}, Summary: "é" + long},
		"all of it":       {ID: "3", Pattern: inference.PatternBusyFailingCall, Suspects: []inference.Suspect{{Function: long}}, Summary: long},
		"not text at all": {ID: "4", Suspects: []inference.Suspect{{Function: strings.Repeat("\xff\xfe", 500)}}, Summary: strings.Repeat("\xe2\x82", 500)},
		"no suspect":      {ID: "5", Summary: long},
	} {
		for _, called := range []string{"", "redis", long} {
			span := ptrace.NewSpan()
			m := correlate.Match[Short]{
				At: 1_700_000_000_000_000_000, Verdict: correlate.Verdict[Short]{Value: ShortOf(&a)}, Cover: 1.0 / 3,
				Service: correlate.Candidate{Tie: correlate.TiePeerAddress, Certainty: 1}, Way: correlate.WayTraceContext,
			}
			m.Verdict.Value.URL = "https://perfscope.example.com/" + strings.Repeat("x", 60)
			if !AppendEvent(span, &m, called) || AppendEvent(span, &m, called) || span.Events().Len() != 1 {
				t.Fatalf("%s: an event is appended once", name)
			}
			ev := span.Events().At(0)
			if n := sizer.SpanSize(span) - sizer.SpanSize(ptrace.NewSpan()); n > MaxEventBytes+sizeOfURL(ev) {
				t.Errorf("%s: %d bytes", name, n)
			}
			for key, v := range ev.Attributes().All() {
				if !utf8.ValidString(v.AsString()) {
					t.Errorf("%s: %s is cut amid a rune: %q", name, key, v.AsString())
				}
			}
			first := ""
			for key := range ev.Attributes().All() {
				first = key
				break
			}
			if first != AttrSummary {
				t.Errorf("%s: the first field is %s, not the sentence", name, first)
			}
			if url := Text(ev.Attributes(), AttrURL); url != m.Verdict.Value.URL {
				t.Errorf("%s: the address is %q", name, url)
			}
			if got := Text(ev.Attributes(), AttrSummary); name == "usual" && called == "" && got != UTF8(a.Summary) {
				t.Errorf("the usual sentence is cut: %q", got)
			} else if len(got) < leastSentence-4 && got != UTF8(a.Summary) {
				t.Errorf("%s: nothing is left of the sentence: %q", name, got)
			}
			if Text(ev.Attributes(), AttrID) != a.ID || strings.HasSuffix(Text(ev.Attributes(), AttrFunction), long) {
				t.Errorf("%s: %v", name, ev.Attributes().AsRaw())
			}
		}
	}
}

func TestCut(t *testing.T) {
	for _, c := range []struct {
		text  string
		limit int
		want  string
	}{{"short", 5, "short"}, {"shorter", 6, "sho…"}, {"ééé", 5, "é…"}, {"€€", 5, "…"}} {
		if got := cut(c.text, c.limit); got != c.want || len(got) > c.limit {
			t.Errorf("%q in %d bytes is %q, want %q", c.text, c.limit, got, c.want)
		}
	}
}
