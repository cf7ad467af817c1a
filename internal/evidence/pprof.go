package evidence

import (
	"io"

	"github.com/google/pprof/profile"

	"github.com/perfscope/perfscope/pkg/inference"
)

// Which says which of the two profiles of a stretch.
type Which bool

// The profiles of a stretch.
const (
	// Normal is the past at the stretch's load, for as long as the stretch lasts.
	Normal Which = false
	// Abnormal is the stretch.
	Abnormal Which = true
)

// WritePprof writes a profile of a stretch in the format of pprof, compressed:
// `go tool pprof -diff_base normal.pb.gz abnormal.pb.gz` shows what grew. Its values are
// the time in nanoseconds: all, on CPU, and waiting.
func (s *Stretch) WritePprof(w io.Writer, which Which, of *Service) error {
	return s.pprof(which, of).Write(w)
}

func (s *Stretch) pprof(which Which, of *Service) *profile.Profile {
	ns := func(kind string) *profile.ValueType { return &profile.ValueType{Type: kind, Unit: "nanoseconds"} }
	length := s.To.Sub(s.From)
	b := pprofBuilder{
		p: &profile.Profile{
			SampleType: []*profile.ValueType{ns("time"), ns("cpu"), ns("waiting")}, DefaultSampleType: "time",
			TimeNanos: s.From.UnixNano(), DurationNanos: int64(length), PeriodType: ns("time"), Period: 1,
			Comments: []string{"service: " + of.Name, "made by PerfScope; waits for something to do are left out"},
		},
		mappings: map[string]*profile.Mapping{}, locations: map[int32]*profile.Location{}, of: of, functions: s.profile.Functions,
	}
	for i := range s.profile.Samples {
		sample := &s.profile.Samples[i]
		t := sample.Normal
		if which == Abnormal {
			t = sample.Now
		}
		if value := int64(t * float64(length)); value > 0 {
			b.add(sample, value)
		}
	}
	return b.p
}

type pprofBuilder struct {
	p         *profile.Profile
	mappings  map[string]*profile.Mapping
	locations map[int32]*profile.Location
	functions []inference.Function
	of        *Service
}

func (b *pprofBuilder) add(s *inference.Sample, value int64) {
	out := &profile.Sample{Value: []int64{value, value, 0}}
	if s.Waiting {
		out.Value = []int64{value, 0, value}
		out.Label = map[string][]string{"syscall": {s.Call}}
	}
	for _, f := range s.Stack {
		out.Location = append(out.Location, b.location(f))
	}
	if len(s.Stack) == 0 {
		out.Location = append(out.Location, b.location(-1))
	}
	b.p.Sample = append(b.p.Sample, out)
}

func (b *pprofBuilder) location(f int32) *profile.Location {
	if l := b.locations[f]; l != nil {
		return l
	}
	fn := inference.Function{Name: "(no function is known)"}
	if f >= 0 {
		fn = b.functions[f]
	}
	made := &profile.Function{ID: uint64(len(b.p.Function) + 1), Name: name(fn.Name), SystemName: name(fn.Name), Filename: name(fn.File)}
	b.p.Function = append(b.p.Function, made)
	l := &profile.Location{
		ID: uint64(len(b.p.Location) + 1), Mapping: b.mapping(name(fn.Module)), Line: []profile.Line{{Function: made, Line: int64(fn.Line)}},
	}
	b.p.Location = append(b.p.Location, l)
	b.locations[f] = l
	return l
}

func (b *pprofBuilder) mapping(module string) *profile.Mapping {
	if module == "" {
		return nil
	}
	if m := b.mappings[module]; m != nil {
		return m
	}
	m := &profile.Mapping{ID: uint64(len(b.p.Mapping) + 1), File: module, HasFunctions: true}
	if module == b.of.Executable {
		m.BuildID = b.of.Build
	}
	b.p.Mapping = append(b.p.Mapping, m)
	b.mappings[module] = m
	return m
}
