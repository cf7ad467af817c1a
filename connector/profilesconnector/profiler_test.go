package profilesconnector

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/connector/connectortest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pprofile"

	"github.com/perfscope/perfscope/connector/profilesconnector/internal/metadata"
	"github.com/perfscope/perfscope/internal/evidence"
	"github.com/perfscope/perfscope/internal/evidence/evidencetest"
	"github.com/perfscope/perfscope/pkg/inference"
)

// board is a page with one service.
type board struct {
	component.StartFunc
	component.ShutdownFunc
	d *evidence.Detail
}

func (b board) Show(any) func()             { return func() {} }
func (b board) URL(string, string) string   { return "" }
func (b board) Local(string, string) string { return "" }
func (b board) Sources() []evidence.Source  { return []evidence.Source{b} }
func (b board) Services(context.Context) ([]evidence.Service, error) {
	return []evidence.Service{b.d.Service}, nil
}
func (b board) Detail(context.Context, string) (*evidence.Detail, error) { return b.d, nil }
func (b board) GetExtensions() map[component.ID]component.Component {
	return map[component.ID]component.Component{component.MustNewID("perfscope_page"): b}
}

func TestAnAnomalyIsAPairOfProfiles(t *testing.T) {
	d := evidencetest.Slow(t, 20, 20, func(i int) string { return fmt.Sprintf("work_%d", i) })
	d.Executable, d.Build = "server", "b2bcad6d"
	var sink consumertest.ProfilesSink
	p := newProfiler(&Config{}, connectortest.NewNopSettings(metadata.Type), &sink)
	require.NoError(t, p.Start(t.Context(), board{d: d}))
	ld := plog.NewLogs()
	rec := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	rec.SetEventName("perfscope.anomaly")
	rec.Attributes().PutStr("perfscope.anomaly.id", d.Open().ID)
	rec.Attributes().PutStr("perfscope.anomaly.state", "raised")
	require.NoError(t, p.ConsumeLogs(t.Context(), ld))
	require.Eventually(t, func() bool { return len(sink.AllProfiles()) > 0 }, time.Minute, 10*time.Millisecond)
	require.NoError(t, p.Shutdown(t.Context()))
	pd := sink.AllProfiles()[0]
	valid(t, pd)
	profiles := pd.ResourceProfiles().At(0).ScopeProfiles().At(0).Profiles()
	require.Equal(t, 4, profiles.Len(), "CPU and waiting, normal and abnormal")
	dic := pd.Dictionary()
	time := map[string]int64{}
	for _, pr := range profiles.All() {
		attrs, err := pprofile.FromAttributeIndices(dic.AttributeTable(), pr, dic)
		require.NoError(t, err)
		id, _ := attrs.Get("perfscope.anomaly.id")
		assert.Equal(t, d.Open().ID, id.Str())
		kind, _ := attrs.Get("perfscope.profile.kind")
		for _, s := range pr.Samples().All() {
			for _, l := range dic.StackTable().At(int(s.StackIndex())).LocationIndices().All() {
				f := dic.FunctionTable().At(int(dic.LocationTable().At(int(l)).Lines().At(0).FunctionIndex()))
				if dic.StringTable().At(int(f.NameStrindex())) == "work_0slow" {
					time[kind.Str()] += s.Values().At(0)
				}
			}
		}
	}
	assert.Zero(t, time["normal"])
	assert.Greater(t, time["abnormal"], int64(1e9), "half of the time of several hops")
}

// TestSlowRequestsAreLinkedToTheirSpans: each sample with the span that it was taken in,
// and only those of the time that the profile is of.
func TestSlowRequestsAreLinkedToTheirSpans(t *testing.T) {
	d := evidencetest.Slow(t, 20, 20, func(i int) string { return fmt.Sprint("work_", i) })
	d.Executable, d.Build = "server", "b1"
	s, ok := d.Of(d.Open())
	require.True(t, ok)
	known := s.Active.CPU
	stack := func(names ...string) (list []inference.Function) {
		for _, n := range names {
			list = append(list, inference.Function{Name: n, Module: "server"})
		}
		return list
	}
	span := func(id byte, end time.Time) evidence.SlowSpan {
		return evidence.SlowSpan{Trace: [16]byte{9, id}, ID: [8]byte{id}, End: end, Seen: []inference.Seen{
			{Time: end.UnixNano() - 5e6, Duration: time.Millisecond, Stack: stack("work_0slow", "main")},
			{Time: end.UnixNano() - 4e6, Duration: 2 * time.Millisecond, Stack: stack("flush", "main"), Waiting: true, Call: "fsync"},
		}}
	}
	d.SlowSpans = []evidence.SlowSpan{span(1, s.From.Add(-time.Second)), span(2, s.From.Add(time.Second)), span(3, s.To.Add(-time.Second)), span(4, s.To)}
	pd := profilesOf(d, s, d.Open().ID, "1")
	valid(t, pd)
	dic := pd.Dictionary()
	assert.Equal(t, 3, dic.LinkTable().Len(), "the empty one, and those of two spans")
	said := map[string]int64{}
	for _, pr := range pd.ResourceProfiles().At(0).ScopeProfiles().At(0).Profiles().All() {
		attrs, err := pprofile.FromAttributeIndices(dic.AttributeTable(), pr, dic)
		require.NoError(t, err)
		kind, _ := attrs.Get(attrKind)
		for _, x := range pr.Samples().All() {
			link := dic.LinkTable().At(int(x.LinkIndex()))
			assert.Equal(t, kind.Str() == "slow_requests", x.LinkIndex() != 0, kind.Str())
			if x.LinkIndex() == 0 {
				continue
			}
			assert.Equal(t, byte(9), link.TraceID()[0])
			assert.Equal(t, 1, x.TimestampsUnixNano().Len())
			leaf := dic.LocationTable().At(int(dic.StackTable().At(int(x.StackIndex())).LocationIndices().At(0)))
			name := dic.StringTable().At(int(dic.FunctionTable().At(int(leaf.Lines().At(0).FunctionIndex())).NameStrindex()))
			said[fmt.Sprint(link.SpanID()[0], " ", name)] += x.Values().At(0)
		}
	}
	assert.Equal(t, map[string]int64{"2 work_0slow": 1e6, "2 flush": 2e6, "3 work_0slow": 1e6, "3 flush": 2e6}, said)
	assert.InDelta(t, known, s.Active.CPU, 0, "the stretch is left as it is")
}

// valid checks what the specification of profiles asks for: that each table begins with
// an empty entry, and that all that is referred to is there, without repeating itself.
func valid(t *testing.T, pd pprofile.Profiles) {
	t.Helper()
	dic := pd.Dictionary()
	in := func(i int32, table int, what string) {
		if i < 0 || int(i) >= table {
			t.Errorf("%s %d of %d", what, i, table)
		}
	}
	assert.Empty(t, dic.StringTable().At(0))
	assert.Zero(t, dic.StackTable().At(0).LocationIndices().Len())
	assert.Zero(t, dic.FunctionTable().At(0).NameStrindex())
	assert.True(t, dic.LinkTable().At(0).TraceID().IsEmpty())
	seen := map[string]bool{}
	for _, s := range dic.StringTable().All() {
		assert.False(t, seen[s], "%q is there twice", s)
		seen[s] = true
	}
	text := func(i int32) { in(i, dic.StringTable().Len(), "string") }
	for i, a := range dic.AttributeTable().All() {
		text(a.KeyStrindex())
		assert.Equal(t, i == 0, a.KeyStrindex() == 0, "attribute %d", i)
	}
	builds := 0
	for _, m := range dic.MappingTable().All() {
		text(m.FilenameStrindex())
		for _, a := range m.AttributeIndices().All() {
			in(a, dic.AttributeTable().Len(), "attribute")
			builds++
		}
	}
	assert.Equal(t, 1, builds, "the program's mapping has its build id")
	for _, f := range dic.FunctionTable().All() {
		text(f.NameStrindex())
		text(f.FilenameStrindex())
	}
	for _, l := range dic.LocationTable().All() {
		in(l.MappingIndex(), dic.MappingTable().Len(), "mapping")
		for _, line := range l.Lines().All() {
			in(line.FunctionIndex(), dic.FunctionTable().Len(), "function")
		}
	}
	for _, s := range dic.StackTable().All() {
		for _, l := range s.LocationIndices().All() {
			in(l, dic.LocationTable().Len(), "location")
			assert.NotZero(t, l)
		}
	}
	for _, p := range pd.ResourceProfiles().At(0).ScopeProfiles().At(0).Profiles().All() {
		assert.NotZero(t, p.ProfileID())
		assert.NotZero(t, p.SampleType().TypeStrindex())
		text(p.SampleType().UnitStrindex())
		for _, s := range p.Samples().All() {
			in(s.StackIndex(), dic.StackTable().Len(), "stack")
			in(s.LinkIndex(), dic.LinkTable().Len(), "link")
			assert.Equal(t, 1, s.Values().Len())
		}
	}
}

func TestConfig(t *testing.T) {
	require.NoError(t, createDefaultConfig().(*Config).Validate())
	require.ErrorContains(t, (&Config{Interval: time.Second}).Validate(), "interval is 1s")
}
