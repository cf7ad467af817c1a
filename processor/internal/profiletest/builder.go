// Package profiletest makes OTLP profiles for tests, as the OpenTelemetry eBPF
// profiler does.
package profiletest

import (
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pprofile"
)

// Builder makes one payload.
type Builder struct {
	pprofile.Profiles
	start   time.Time
	length  time.Duration
	strings map[string]int32
}

// New starts a payload whose profiles begin at an instant and are as long as said. The
// first entry of each table is empty, as the specification asks.
func New(start time.Time, length time.Duration) *Builder {
	b := &Builder{Profiles: pprofile.NewProfiles(), start: start, length: length, strings: map[string]int32{}}
	d := b.Dictionary()
	b.text("")
	d.MappingTable().AppendEmpty()
	d.LocationTable().AppendEmpty()
	d.FunctionTable().AppendEmpty()
	d.LinkTable().AppendEmpty()
	d.AttributeTable().AppendEmpty()
	d.StackTable().AppendEmpty()
	return b
}

func (b *Builder) text(s string) int32 {
	i, known := b.strings[s]
	if !known {
		i = int32(b.Dictionary().StringTable().Len()) //nolint:gosec // a test's
		b.Dictionary().StringTable().Append(s)
		b.strings[s] = i
	}
	return i
}

// Resource adds a resource.
func (b *Builder) Resource(attrs map[string]any) pprofile.ResourceProfiles {
	rp := b.ResourceProfiles().AppendEmpty()
	if err := rp.Resource().Attributes().FromRaw(attrs); err != nil {
		panic(err)
	}
	rp.ScopeProfiles().AppendEmpty()
	return rp
}

// Profile adds a profile of a type.
func (b *Builder) Profile(rp pprofile.ResourceProfiles, of, unit string) pprofile.Profile {
	p := rp.ScopeProfiles().At(0).Profiles().AppendEmpty()
	p.SampleType().SetTypeStrindex(b.text(of))
	p.SampleType().SetUnitStrindex(b.text(unit))
	p.SetTime(pcommon.NewTimestampFromTime(b.start))
	p.SetDurationNano(uint64(b.length)) //nolint:gosec // a test's
	return p
}

// OnCPU adds a profile of samples on the CPU, some a second.
func (b *Builder) OnCPU(rp pprofile.ResourceProfiles, perSecond int64) pprofile.Profile {
	p := b.Profile(rp, "samples", "count")
	p.PeriodType().SetTypeStrindex(b.text("cpu"))
	p.PeriodType().SetUnitStrindex(b.text("nanoseconds"))
	p.SetPeriod(1e9 / perSecond)
	return p
}

// OffCPU adds a profile of waits.
func (b *Builder) OffCPU(rp pprofile.ResourceProfiles) pprofile.Profile {
	return b.Profile(rp, "off_cpu", "nanoseconds")
}

// Frame is a function on a stack.
type Frame struct {
	Language, Function, File, Mapping string
	Line                              int64
}

// Function adds a function and gives its index.
func (b *Builder) Function(name, file string) int32 {
	f := b.Dictionary().FunctionTable().AppendEmpty()
	f.SetNameStrindex(b.text(name))
	f.SetFilenameStrindex(b.text(file))
	return int32(b.Dictionary().FunctionTable().Len() - 1) //nolint:gosec // a test's
}

// Stack adds a stack, innermost first, and gives its index.
func (b *Builder) Stack(frames ...Frame) int32 {
	d := b.Dictionary()
	stack := d.StackTable().AppendEmpty()
	for _, f := range frames {
		at := d.LocationTable().AppendEmpty()
		if f.Mapping != "" {
			d.MappingTable().AppendEmpty().SetFilenameStrindex(b.text(f.Mapping))
			at.SetMappingIndex(int32(d.MappingTable().Len() - 1)) //nolint:gosec // a test's
		}
		if f.Function != "" || f.File != "" {
			line := at.Lines().AppendEmpty()
			line.SetFunctionIndex(b.Function(f.Function, f.File))
			line.SetLine(f.Line)
		}
		if f.Language != "" {
			at.AttributeIndices().Append(b.attribute("profile.frame.type", func(v pcommon.Value) { v.SetStr(f.Language) }))
		}
		stack.LocationIndices().Append(int32(d.LocationTable().Len() - 1)) //nolint:gosec // a test's
	}
	return int32(d.StackTable().Len() - 1) //nolint:gosec // a test's
}

func (b *Builder) attribute(key string, set func(pcommon.Value)) int32 {
	a := b.Dictionary().AttributeTable().AppendEmpty()
	a.SetKeyStrindex(b.text(key))
	set(a.Value())
	return int32(b.Dictionary().AttributeTable().Len() - 1) //nolint:gosec // a test's
}

// Link has the latest sample of a profile be of a span.
func (b *Builder) Link(p pprofile.Profile, trace [16]byte, span [8]byte) {
	l := b.Dictionary().LinkTable().AppendEmpty()
	l.SetTraceID(trace)
	l.SetSpanID(span)
	p.Samples().At(p.Samples().Len() - 1).SetLinkIndex(int32(b.Dictionary().LinkTable().Len() - 1)) //nolint:gosec // a test's
}

// Sample adds a sample of a thread, unless that is zero, with a stack.
func (b *Builder) Sample(p pprofile.Profile, thread int64, name string, stack int32, times []uint64, values []int64) {
	s := p.Samples().AppendEmpty()
	s.SetStackIndex(stack)
	s.TimestampsUnixNano().FromRaw(times)
	s.Values().FromRaw(values)
	if thread != 0 {
		s.AttributeIndices().Append(
			b.attribute("thread.name", func(v pcommon.Value) { v.SetStr(name) }),
			b.attribute("thread.id", func(v pcommon.Value) { v.SetInt(thread) }),
		)
	}
}
