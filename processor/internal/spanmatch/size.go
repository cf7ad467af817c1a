package spanmatch

import (
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// What the parts of spans take in memory beside their bytes on the wire: an
// attribute that is true takes five bytes there and a hundred here.
const (
	attributeOverhead = 96
	spanOverhead      = 320
	eventOverhead     = 96
	linkOverhead      = 96
)

var sizer ptrace.ProtoMarshaler

// Size estimates the memory that spans take (bytes): what they are on the wire,
// and what each of their parts takes beside that.
func Size(rs ptrace.ResourceSpans) int {
	n := sizer.ResourceSpansSize(rs) + attributesOverhead(rs.Resource().Attributes())
	for _, ss := range rs.ScopeSpans().All() {
		n += attributesOverhead(ss.Scope().Attributes()) + spanOverhead*ss.Spans().Len()
		for _, span := range ss.Spans().All() {
			n += attributesOverhead(span.Attributes()) + eventOverhead*span.Events().Len() + linkOverhead*span.Links().Len()
			for _, ev := range span.Events().All() {
				n += attributesOverhead(ev.Attributes())
			}
			for _, link := range span.Links().All() {
				n += attributesOverhead(link.Attributes())
			}
		}
	}
	return n
}

// maxDepth bounds how deep values are looked into: one more level takes ten bytes
// on the wire.
const maxDepth = 16

func attributesOverhead(attrs pcommon.Map) int { return overhead(attrs, maxDepth) }

func overhead(attrs pcommon.Map, depth int) int {
	n := attributeOverhead * attrs.Len()
	for _, v := range attrs.All() {
		if t := v.Type(); t == pcommon.ValueTypeMap || t == pcommon.ValueTypeSlice {
			n += nestedOverhead(v, depth-1)
		}
	}
	return n
}

// nestedOverhead is that of what is within a value.
func nestedOverhead(v pcommon.Value, depth int) int {
	switch {
	case depth == 0:
		return 0
	case v.Type() == pcommon.ValueTypeMap:
		return overhead(v.Map(), depth)
	case v.Type() == pcommon.ValueTypeSlice:
		n := attributeOverhead * v.Slice().Len()
		for _, e := range v.Slice().All() {
			n += nestedOverhead(e, depth-1)
		}
		return n
	}
	return 0
}

// MaxResource bounds the attributes that are remembered of a resource (bytes). The
// receiver's own, with all the sockets that it tells of, take half of it.
const MaxResource = 32 << 10

// Bounded copies the attributes of a resource that take at most MaxResource
// together; left is how many were left out.
func Bounded(attrs pcommon.Map) (kept pcommon.Map, left int) {
	kept = pcommon.NewMap()
	size := 0
	for key, v := range attrs.All() {
		n, whole := valueSize(v, maxDepth)
		n += attributeOverhead + len(key)
		if !whole || size+n > MaxResource {
			left++
			continue
		}
		size += n
		v.CopyTo(kept.PutEmpty(key))
	}
	return kept, left
}

// AttributesSize estimates the memory that attributes take (bytes).
func AttributesSize(attrs pcommon.Map) (n int64) {
	for key, v := range attrs.All() {
		size, _ := valueSize(v, maxDepth)
		n += int64(attributeOverhead + len(key) + size)
	}
	return n
}

// valueSize estimates the memory that a value takes beside its overhead; whole is
// false of one that is nested too deep.
func valueSize(v pcommon.Value, depth int) (n int, whole bool) {
	if depth == 0 {
		return 0, false
	}
	whole = true
	add := func(key string, e pcommon.Value) {
		size, ok := valueSize(e, depth-1)
		n += attributeOverhead + len(key) + size
		whole = whole && ok
	}
	switch v.Type() {
	case pcommon.ValueTypeStr:
		n = len(v.Str())
	case pcommon.ValueTypeBytes:
		n = v.Bytes().Len()
	case pcommon.ValueTypeMap:
		for key, e := range v.Map().All() {
			add(key, e)
		}
	case pcommon.ValueTypeSlice:
		for _, e := range v.Slice().All() {
			add("", e)
		}
	}
	return n, whole
}
