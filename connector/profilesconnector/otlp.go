package profilesconnector

import (
	"crypto/rand"
	"slices"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pprofile"

	"github.com/perfscope/perfscope/connector/profilesconnector/internal/metadata"
	"github.com/perfscope/perfscope/internal/cleantext"
	"github.com/perfscope/perfscope/internal/evidence"
	"github.com/perfscope/perfscope/pkg/inference"
)

// Attributes of a profile.
const (
	attrAnomaly = "perfscope.anomaly.id"
	attrKind    = "perfscope.profile.kind" // normal, abnormal or slow_requests
	attrCall    = "perfscope.syscall.name"
	attrBuild   = "process.executable.build_id.gnu"
)

// profilesOf makes the profiles of a stretch: time on CPU and time waiting amid work;
// of an anomaly those of now and of the past.
func profilesOf(d *evidence.Detail, s *evidence.Stretch, anomaly, version string) pprofile.Profiles {
	out := pprofile.NewProfiles()
	b := newBuilder(out.Dictionary(), d, s)
	rp := out.ResourceProfiles().AppendEmpty()
	attrs := rp.Resource().Attributes()
	for key, value := range map[string]string{
		"service.name": d.Name, "service.instance.id": d.Instance, "host.name": d.Host, "process.executable.name": d.Executable, attrBuild: d.Build,
	} {
		if value != "" {
			attrs.PutStr(key, value)
		}
	}
	if d.PID != 0 {
		attrs.PutInt("process.pid", d.PID)
	}
	sp := rp.ScopeProfiles().AppendEmpty()
	sp.Scope().SetName(metadata.ScopeName)
	sp.Scope().SetVersion(version)
	for _, kind := range []string{"normal", "abnormal"} {
		if anomaly == "" && kind == "normal" {
			continue
		}
		for _, waiting := range []bool{false, true} {
			p := sp.Profiles().AppendEmpty()
			b.describe(p, waiting)
			if anomaly != "" {
				p.AttributeIndices().Append(b.attribute(attrAnomaly, anomaly), b.attribute(attrKind, kind))
			}
			b.samples(p, waiting, kind == "normal")
		}
	}
	slow := b.slowSpans()
	for _, waiting := range []bool{false, true} {
		if !seen(slow, waiting) {
			continue
		}
		p := sp.Profiles().AppendEmpty()
		b.describe(p, waiting)
		p.AttributeIndices().Append(b.attribute(attrKind, "slow_requests"))
		b.linked(p, slow, waiting)
	}
	return out
}

// builder fills the dictionary, whose first entries are the empty ones.
type builder struct {
	dic       pprofile.ProfilesDictionary
	d         *evidence.Detail
	s         *evidence.Stretch
	list      []inference.Sample
	functions []inference.Function
	strings   map[string]int32
	mappings  map[string]int32
	locations map[int32]int32
	stacks    map[string]int32
	attrs     map[[2]string]int32
	// known has the index of each function once slow requests are written, links the
	// entry of each span.
	known map[inference.Function]int32
	links map[[8]byte]int32
}

func newBuilder(dic pprofile.ProfilesDictionary, d *evidence.Detail, s *evidence.Stretch) *builder {
	dic.MappingTable().AppendEmpty()
	dic.LocationTable().AppendEmpty()
	dic.FunctionTable().AppendEmpty()
	dic.LinkTable().AppendEmpty()
	dic.StringTable().Append("")
	dic.AttributeTable().AppendEmpty()
	dic.StackTable().AppendEmpty()
	b := &builder{
		dic: dic, d: d, s: s, strings: map[string]int32{"": 0}, mappings: map[string]int32{"": 0},
		locations: map[int32]int32{}, stacks: map[string]int32{"": 0}, attrs: map[[2]string]int32{},
		links: map[[8]byte]int32{},
	}
	b.list, b.functions = s.Samples()
	b.functions = slices.Clip(b.functions) // what is added is not the stretch's
	return b
}

func (b *builder) describe(p pprofile.Profile, waiting bool) {
	kind := "cpu"
	if waiting {
		kind = "off_cpu"
	}
	p.SampleType().SetTypeStrindex(b.text(kind))
	p.SampleType().SetUnitStrindex(b.text("nanoseconds"))
	p.SetTime(pcommon.NewTimestampFromTime(b.s.From))
	p.SetDurationNano(uint64(max(0, b.s.To.Sub(b.s.From)))) //nolint:gosec // not negative
	var id pprofile.ProfileID
	_, _ = rand.Read(id[:]) // never fails
	p.SetProfileID(id)
}

func (b *builder) samples(p pprofile.Profile, waiting, normal bool) {
	length := float64(b.s.To.Sub(b.s.From))
	for i := range b.list {
		s := &b.list[i]
		t := s.Now
		if normal {
			t = s.Normal
		}
		value := int64(t * length)
		if s.Waiting != waiting || value <= 0 {
			continue
		}
		out := p.Samples().AppendEmpty()
		out.SetStackIndex(b.stack(s.Stack))
		out.Values().Append(value)
		if s.Call != "" {
			out.AttributeIndices().Append(b.attribute(attrCall, s.Call))
		}
	}
}

// slowSpans are those that ended within the stretch.
func (b *builder) slowSpans() (list []evidence.SlowSpan) {
	for _, x := range b.d.SlowSpans {
		if !x.End.Before(b.s.From) && x.End.Before(b.s.To) {
			list = append(list, x)
		}
	}
	return list
}

// seen reports whether any was seen on a CPU, or waiting.
func seen(slow []evidence.SlowSpan, waiting bool) bool {
	return slices.ContainsFunc(slow, func(x evidence.SlowSpan) bool {
		return slices.ContainsFunc(x.Seen, func(s inference.Seen) bool { return s.Waiting == waiting })
	})
}

// linked are the samples that were taken while a span was under way, with that span.
func (b *builder) linked(p pprofile.Profile, slow []evidence.SlowSpan, waiting bool) {
	for i := range slow {
		for j := range slow[i].Seen {
			s := &slow[i].Seen[j]
			if s.Waiting != waiting {
				continue
			}
			out := p.Samples().AppendEmpty()
			out.SetStackIndex(b.stack(b.indexes(s.Stack)))
			out.SetLinkIndex(b.link(&slow[i]))
			out.Values().Append(int64(s.Duration))
			out.TimestampsUnixNano().Append(uint64(s.Time)) //nolint:gosec // an instant
			if s.Call != "" {
				out.AttributeIndices().Append(b.attribute(attrCall, s.Call))
			}
		}
	}
}

func (b *builder) link(span *evidence.SlowSpan) int32 {
	i, ok := b.links[span.ID]
	if !ok {
		i = int32(b.dic.LinkTable().Len()) //nolint:gosec // bounded by the spans
		l := b.dic.LinkTable().AppendEmpty()
		l.SetTraceID(span.Trace)
		l.SetSpanID(span.ID)
		b.links[span.ID] = i
	}
	return i
}

// indexes are those of functions, which are added where the stretch has none.
func (b *builder) indexes(stack []inference.Function) (list []int32) {
	if b.known == nil {
		b.known = make(map[inference.Function]int32, len(b.functions))
		for i, f := range b.functions {
			b.known[f] = int32(i) //nolint:gosec // bounded by the functions
		}
	}
	for _, f := range stack {
		i, ok := b.known[f]
		if !ok {
			i = int32(len(b.functions)) //nolint:gosec // bounded by what is seen
			b.functions = append(b.functions, f)
			b.known[f] = i
		}
		list = append(list, i)
	}
	return list
}

func (b *builder) text(s string) int32 {
	i, ok := b.strings[s]
	if !ok {
		i = int32(b.dic.StringTable().Len()) //nolint:gosec // bounded by the functions
		b.dic.StringTable().Append(s)
		b.strings[s] = i
	}
	return i
}

func (b *builder) attribute(key, value string) int32 {
	k := [2]string{key, value}
	i, ok := b.attrs[k]
	if !ok {
		i = int32(b.dic.AttributeTable().Len()) //nolint:gosec // bounded by the calls
		a := b.dic.AttributeTable().AppendEmpty()
		a.SetKeyStrindex(b.text(key))
		a.Value().SetStr(value)
		b.attrs[k] = i
	}
	return i
}

// stack is that of functions, the innermost first, as profiles have it.
func (b *builder) stack(functions []int32) int32 {
	key := make([]byte, 0, 4*len(functions))
	for _, f := range functions {
		key = append(key, byte(f), byte(f>>8), byte(f>>16), byte(f>>24)) //nolint:gosec // a key
	}
	i, ok := b.stacks[string(key)]
	if !ok {
		i = int32(b.dic.StackTable().Len()) //nolint:gosec // bounded by the stacks
		s := b.dic.StackTable().AppendEmpty()
		for _, f := range functions {
			s.LocationIndices().Append(b.location(f))
		}
		b.stacks[string(key)] = i
	}
	return i
}

func (b *builder) location(f int32) int32 {
	i, ok := b.locations[f]
	if ok {
		return i
	}
	fn := b.functions[f]
	name := b.text(cleantext.Clean(fn.Name, cleantext.MaxFunction))
	made := b.dic.FunctionTable().AppendEmpty()
	made.SetNameStrindex(name)
	made.SetSystemNameStrindex(name)
	made.SetFilenameStrindex(b.text(cleantext.Clean(fn.File, cleantext.MaxPath)))
	i = int32(b.dic.LocationTable().Len()) //nolint:gosec // bounded by the functions
	l := b.dic.LocationTable().AppendEmpty()
	l.SetMappingIndex(b.mapping(cleantext.Clean(fn.Module, cleantext.MaxFunction)))
	line := l.Lines().AppendEmpty()
	line.SetFunctionIndex(int32(b.dic.FunctionTable().Len() - 1)) //nolint:gosec // bounded by the functions
	line.SetLine(int64(fn.Line))
	b.locations[f] = i
	return i
}

func (b *builder) mapping(module string) int32 {
	i, ok := b.mappings[module]
	if !ok {
		i = int32(b.dic.MappingTable().Len()) //nolint:gosec // bounded by the modules
		m := b.dic.MappingTable().AppendEmpty()
		m.SetFilenameStrindex(b.text(module))
		if module == b.d.Executable && b.d.Build != "" {
			m.AttributeIndices().Append(b.attribute(attrBuild, b.d.Build))
		}
		b.mappings[module] = i
	}
	return i
}
