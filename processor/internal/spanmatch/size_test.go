package spanmatch

import (
	"runtime"
	"strconv"
	"testing"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// TestSizeIsThatInMemory: spans are held within bytes of memory, which attributes of
// five bytes on the wire take twenty times as many of.
func TestSizeIsThatInMemory(t *testing.T) {
	var m ptrace.ProtoUnmarshaler
	for name, c := range map[string]struct {
		fill func(ptrace.Span)
	}{
		"ordinary":        {fill: func(s ptrace.Span) { s.Attributes().PutStr("http.request.method", "GET") }},
		"many attributes": {fill: func(s ptrace.Span) { fill(s.Attributes(), 5_000) }},
		"nested": {fill: func(s ptrace.Span) {
			for range 5_000 {
				s.Attributes().PutEmptySlice("x" + strconv.Itoa(s.Attributes().Len())).AppendEmpty().SetBool(true)
			}
		}},
		"many events": {fill: func(s ptrace.Span) {
			for range 5_000 {
				s.Events().AppendEmpty()
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			td := ptrace.NewTraces()
			c.fill(td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty())
			doc, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
			if err != nil {
				t.Fatal(err)
			}
			// What else the process allocates meanwhile is little beside a megabyte.
			copies := int64(max(8, 1<<20/len(doc)))
			before := inUse()
			var held []ptrace.Traces
			for range copies {
				back, err := m.UnmarshalTraces(doc)
				if err != nil {
					t.Fatal(err)
				}
				held = append(held, back)
			}
			real := (inUse() - before) / copies
			size := int64(Size(held[0].ResourceSpans().At(0)))
			if real > 2*size {
				t.Errorf("%d bytes on the wire take %d in memory and count as %d", len(doc), real, size)
			}
			runtime.KeepAlive(held)
		})
	}
}

func fill(attrs pcommon.Map, n int) {
	attrs.EnsureCapacity(n)
	for i := range n {
		attrs.PutBool(strconv.Itoa(i), true)
	}
}

func inUse() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc) //nolint:gosec // far below
}

func TestAResourceIsRememberedInPart(t *testing.T) {
	attrs := pcommon.NewMap()
	attrs.PutStr("service.name", "shop")
	attrs.PutStr("pad", string(make([]byte, MaxResource)))
	deep := attrs.PutEmptySlice("deep")
	for range maxDepth {
		deep = deep.AppendEmpty().SetEmptySlice()
	}
	attrs.PutStr("host.name", "h")
	kept, left := Bounded(attrs)
	if name, _ := kept.Get("host.name"); left != 2 || kept.Len() != 2 || name.Str() != "h" {
		t.Errorf("%d are left out, kept are %v", left, kept.AsRaw())
	}
	if n := AttributesSize(kept); n > MaxResource {
		t.Errorf("%d bytes", n)
	}
}
