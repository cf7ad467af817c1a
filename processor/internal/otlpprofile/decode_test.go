package otlpprofile

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pprofile"

	"github.com/perfscope/perfscope/internal/profile"
	"github.com/perfscope/perfscope/pkg/threadtrace"
	"github.com/perfscope/perfscope/processor/internal/profiletest"
)

var now = time.Unix(1_700_000_000, 0)

const second = uint64(time.Second)

func read(pd pprofile.Profiles) (Samples, map[string]int) {
	d := NewDecoder(pd, now.Add(time.Minute))
	var out Samples
	for _, rp := range pd.ResourceProfiles().All() {
		s := d.Read(rp)
		out.Samples = append(out.Samples, s.Samples...)
		out.Latest, out.Period, out.Length = max(out.Latest, s.Latest), max(out.Period, s.Period), max(out.Length, s.Length)
	}
	return out, d.Refused
}

func TestSamplesOnAndOffTheCPU(t *testing.T) {
	at := uint64(now.UnixNano())
	b := profiletest.New(now, 5*time.Second)
	r := b.Resource(map[string]any{"process.pid": 7})
	stack := b.Stack(
		profiletest.Frame{Language: "kernel", Function: "ep_poll"},
		profiletest.Frame{Language: "kernel", Function: "__x64_sys_epoll_wait"},
		profiletest.Frame{Language: "native", Mapping: "libc.so.6"},
		profiletest.Frame{Language: "cpython", Function: "serve", File: "/srv/shop.py", Line: 12},
	)
	b.Sample(b.OnCPU(r, 49), 11, "worker", stack, []uint64{at, at + second}, nil)
	b.Sample(b.OffCPU(r), 12, "worker", stack, []uint64{at + 2*second, at + 3*second}, []int64{5e6, 6e6})
	got, refused := read(b.Profiles)
	require.Empty(t, refused)
	require.Len(t, got.Samples, 3)
	require.Equal(t, int64(at+3*second), got.Latest)
	require.Equal(t, time.Second/49, got.Period)
	require.Equal(t, 5*time.Second, got.Length)
	s := got.Samples[0]
	require.Equal(t, "epoll_wait", s.Stack.Call)
	require.Equal(t, []threadtrace.Frame{
		{Function: "libc.so.6+0x?", Module: "libc.so.6", Origin: threadtrace.OriginLibrary},
		{Function: "serve", Module: "shop.py", File: "/srv/shop.py", Line: 12},
	}, s.Stack.User.Frames)
	require.Equal(t, profile.Sample{Thread: 11, Name: "worker", Stack: s.Stack, Times: []int64{int64(at), int64(at + second)}, Each: int64(time.Second / 49)}, s)
	for i, each := range []int64{5e6, 6e6} {
		require.Equal(t, profile.Sample{
			Thread: 12, Name: "worker", Stack: s.Stack, Times: []int64{int64(at) + int64(2+i)*1e9}, Each: each, Blocked: true,
		}, got.Samples[1+i])
	}
}

// A profile without timestamps has its time in pieces, so that each hop has its part.
func TestASampleWithoutTimestampsIsSpreadOverItsProfile(t *testing.T) {
	b := profiletest.New(now, 10*time.Second)
	p := b.Profile(b.Resource(nil), "cpu", "milliseconds")
	b.Sample(p, 0, "", b.Stack(profiletest.Frame{Function: "f", Mapping: "server"}), nil, []int64{2000})
	got, refused := read(b.Profiles)
	require.Empty(t, refused)
	require.Len(t, got.Samples, 1)
	s := got.Samples[0]
	require.Len(t, s.Times, 10)
	require.Equal(t, now.Add(time.Second).UnixNano(), s.Times[0])
	require.Equal(t, now.Add(10*time.Second).UnixNano(), s.Times[9])
	require.Equal(t, int64(200*time.Millisecond), s.Each)
}

func TestInlinedFunctions(t *testing.T) {
	b := profiletest.New(now, time.Second)
	at := b.Dictionary().LocationTable().AppendEmpty()
	for _, name := range []string{"inner", "outer"} {
		at.Lines().AppendEmpty().SetFunctionIndex(b.Function(name, "a.rs"))
	}
	stack := b.Dictionary().StackTable().AppendEmpty()
	stack.LocationIndices().Append(int32(b.Dictionary().LocationTable().Len() - 1))
	b.Sample(b.OnCPU(b.Resource(nil), 1), 1, "", int32(b.Dictionary().StackTable().Len()-1), []uint64{uint64(now.UnixNano())}, nil)
	got, _ := read(b.Profiles)
	frames := got.Samples[0].Stack.User.Frames
	require.Len(t, frames, 2)
	require.True(t, frames[0].Inlined && frames[0].Function == "inner")
	require.False(t, frames[1].Inlined)
}

func TestWhatDoesNotFitIsRefusedByItsReason(t *testing.T) {
	at := uint64(now.UnixNano())
	for name, tc := range map[string]struct {
		make func(b *profiletest.Builder, r pprofile.ResourceProfiles)
		want map[string]int
	}{
		"events of a probe": {func(b *profiletest.Builder, r pprofile.ResourceProfiles) {
			b.Sample(b.Profile(r, "events", "count"), 1, "", 0, []uint64{at}, nil)
		}, map[string]int{ReasonType: 1}},
		"memory": {func(b *profiletest.Builder, r pprofile.ResourceProfiles) {
			b.Sample(b.Profile(r, "alloc_space", "bytes"), 1, "", 0, nil, []int64{1 << 20})
		}, map[string]int{ReasonType: 1}},
		"a period that overflows": {func(b *profiletest.Builder, r pprofile.ResourceProfiles) {
			p := b.OnCPU(r, 1)
			p.SetPeriod(1 << 62)
			b.Sample(p, 1, "", 0, []uint64{at}, nil)
		}, map[string]int{ReasonType: 1}},
		"a stack that is not there": {func(b *profiletest.Builder, r pprofile.ResourceProfiles) {
			b.Sample(b.OnCPU(r, 49), 1, "", 99, []uint64{at}, nil)
			b.Sample(b.OnCPU(r, 49), 1, "", -1, []uint64{at}, nil)
		}, map[string]int{ReasonIndex: 2}},
		"a location that is not there": {func(b *profiletest.Builder, r pprofile.ResourceProfiles) {
			s := b.Stack(profiletest.Frame{Function: "f"})
			b.Dictionary().StackTable().At(int(s)).LocationIndices().Append(-5)
			b.Sample(b.OnCPU(r, 49), 1, "", s, []uint64{at}, nil)
		}, map[string]int{ReasonIndex: 1}},
		"from no time, and from the future": {func(b *profiletest.Builder, r pprofile.ResourceProfiles) {
			for _, when := range []uint64{0, at + 3600*second, 1 << 63} {
				b.Sample(b.OnCPU(r, 49), 1, "", 0, []uint64{when}, nil)
			}
		}, map[string]int{ReasonTime: 3}},
		"no time, and more than there can be": {func(b *profiletest.Builder, r pprofile.ResourceProfiles) {
			for _, value := range []int64{0, -1, 1 << 62, int64(2 * time.Hour)} {
				b.Sample(b.OffCPU(r), 1, "", 0, []uint64{at}, []int64{value})
			}
			b.Sample(b.OffCPU(r), 1, "", 0, []uint64{at}, nil)
		}, map[string]int{ReasonValue: 5}},
		"a profile of ages": {func(b *profiletest.Builder, r pprofile.ResourceProfiles) {
			p := b.Profile(r, "cpu", "nanoseconds")
			p.SetTime(1 << 62)
			p.SetDurationNano(1 << 63)
			b.Sample(p, 1, "", 0, nil, []int64{1e9})
		}, map[string]int{ReasonTime: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			b := profiletest.New(now, time.Second)
			tc.make(b, b.Resource(nil))
			got, refused := read(b.Profiles)
			require.Empty(t, got.Samples)
			require.Equal(t, tc.want, refused)
		})
	}
}

func TestAPayloadIsBounded(t *testing.T) {
	at := uint64(now.UnixNano())
	b := profiletest.New(now, time.Second)
	r := b.Resource(nil)
	p := b.OnCPU(r, 49)
	many := make([]uint64, maxSightings/2)
	for i := range many {
		many[i] = at
	}
	for range 4 {
		b.Sample(p, 1, "", 0, many, nil)
	}
	deep := make([]profiletest.Frame, maxDepth+10)
	for i := range deep {
		deep[i] = profiletest.Frame{Function: "f"}
	}
	b.Sample(p, 1, "", b.Stack(deep...), []uint64{at}, nil)
	got, refused := read(b.Profiles)
	require.Len(t, got.Samples, 2)
	require.Equal(t, map[string]int{ReasonTooMany: 3}, refused)

	b = profiletest.New(now, time.Second)
	p = b.OnCPU(b.Resource(nil), 49)
	for range maxFrames/maxDepth + 5 {
		b.Sample(p, 1, "", b.Stack(deep...), []uint64{at}, nil)
	}
	got, refused = read(b.Profiles)
	frames := 0
	for _, s := range got.Samples {
		require.Len(t, s.Stack.User.Frames, maxDepth)
		require.False(t, s.Stack.User.Complete)
		frames += maxDepth
	}
	require.LessOrEqual(t, frames, maxFrames)
	require.Equal(t, 5, refused[ReasonTooMany])
}

func TestProcessOf(t *testing.T) {
	attrs := pcommon.NewMap()
	require.NoError(t, attrs.FromRaw(map[string]any{
		"process.pid": "7", "process.creation.time": "2023-11-14T22:13:20.5Z", "process.executable.path": "/usr/bin/python3.11",
		"container.id": "c", "service.name": "shop", "host.id": "h",
	}))
	require.Equal(t, profile.Process{
		PID: 7, Created: time.Date(2023, 11, 14, 22, 13, 20, 5e8, time.UTC), Executable: "/usr/bin/python3.11", Container: "c", Service: "shop", Host: "h",
	}, ProcessOf(attrs))
	require.Zero(t, ProcessOf(pcommon.NewMap()))
}

// FuzzDecode gives the decoder payloads that are damaged or made up: it ends, within
// its bounds, and no sample is lost without being counted.
func FuzzDecode(f *testing.F) {
	at := uint64(now.UnixNano())
	b := profiletest.New(now, time.Second)
	r := b.Resource(map[string]any{"process.pid": 7})
	stack := b.Stack(profiletest.Frame{Language: "kernel", Function: "__x64_sys_read"}, profiletest.Frame{Language: "cpython", Function: "g", File: "/a.py"})
	b.Sample(b.OnCPU(r, 49), 1, "t", stack, []uint64{at}, nil)
	b.Sample(b.OffCPU(r), 1, "t", stack, []uint64{at}, []int64{1e6})
	b.Sample(b.Profile(r, "cpu", "seconds"), 1, "t", stack, nil, []int64{1})
	data, err := (&pprofile.ProtoMarshaler{}).MarshalProfiles(b.Profiles)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		pd, err := (&pprofile.ProtoUnmarshaler{}).UnmarshalProfiles(data)
		if err != nil {
			return
		}
		got, refused := read(pd)
		in := 0
		for _, rp := range pd.ResourceProfiles().All() {
			in += Count(rp)
		}
		out, taken := 0, map[*profile.Stack]int{}
		for i := range got.Samples {
			s := &got.Samples[i]
			taken[s.Stack]++
			out += len(s.Times)
			if s.Each <= 0 || s.Each > int64(mostBlocked) || len(s.Times) == 0 || len(s.Stack.User.Frames) > maxDepth*maxLines {
				t.Fatalf("%+v", s)
			}
			for _, at := range s.Times {
				if at <= 0 || at > now.Add(time.Minute).UnixNano() {
					t.Fatalf("at %d", at)
				}
			}
		}
		for _, n := range refused {
			in -= n
		}
		if out > maxSightings || in < 0 || in == 0 && out > 0 {
			t.Fatalf("%d sightings of %d samples that were not refused", out, in)
		}
		profile.Batches(got.Samples, threadtrace.ArchAMD64)
	})
}
