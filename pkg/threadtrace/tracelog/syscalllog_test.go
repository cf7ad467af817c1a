package tracelog

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/perfscope/perfscope/pkg/threadtrace"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const epoch = int64(1_700_000_000_000_000_000)

func exampleBatch() *threadtrace.Batch {
	return &threadtrace.Batch{
		ThreadID: 4711, ThreadName: "redis-server", Dropped: 3,
		Stacks: []threadtrace.Stack{{
			Complete: true,
			Frames: []threadtrace.Frame{
				{Function: "fdatasync", Module: "libc.so.6", Origin: threadtrace.OriginLibrary},
				{Function: "flushAppendOnlyFile", Module: "redis-server", File: "aof.c", Line: 1123},
				{Function: "beforeSleep", Module: "redis-server", Inlined: true},
				{Function: "_start", Module: "redis-server"},
			},
		}, {
			Frames: []threadtrace.Frame{
				{Function: "std::vector<int (*)(char)>::f(int)", Module: "[jit]"},
				{Function: "libx.so+0x1234", Module: "odd (module).so", File: "/a b/(c) [d]:e.c", Origin: threadtrace.OriginRuntime},
				{Function: "0xdead", Module: "[unknown]", Origin: threadtrace.OriginUnknown},
			},
		}},
		Events: []threadtrace.Event{
			{Kind: threadtrace.KindCall, Time: epoch, Duration: 1_234_567, Delay: 1_000_448, Number: 75, Stack: 1},
			{Kind: threadtrace.KindCall, Time: epoch + 2_000_000, Duration: 900, Number: 0, Return: -11},
			{Kind: threadtrace.KindSample, Time: epoch + 3_000_000, Duration: 20_408_163, Number: threadtrace.NoCall, Stack: 2},
			{Kind: threadtrace.KindBlocked, Time: epoch + 4_000_000, Duration: 200_000_000, Elapsed: 1_400_000_001, Number: 202, Stack: 1},
			{Kind: threadtrace.KindCall, Time: epoch + 5_000_000, Duration: 7000, Number: 202, Cut: true},
			{Kind: threadtrace.KindInFlight, Time: epoch + 5_000_000, Duration: 3_000_000_007, Number: 7},
			{Kind: threadtrace.KindBlocked, Time: epoch + 6_000_000, Duration: 4_000_000_000, Number: threadtrace.WaitSelect, Stack: 1, Population: 24},
			{Kind: threadtrace.KindBlocked, Time: epoch + 9_000_000, Elapsed: 30_000_000, Number: threadtrace.WaitIO, Stack: 1, Return: 1207, Cut: true},
		},
		Contexts: []threadtrace.Context{{Time: epoch + 2_000_900, TraceID: [16]byte{1, 15: 2}, ParentID: [8]byte{3, 7: 4}}},
		Wakings: []threadtrace.Waking{
			{Start: epoch + 4_000_000, Time: epoch + 5_400_001, Number: 202, By: threadtrace.WakerThread, Process: 4000, Thread: 4712, Name: "bio_aof", Stack: 1, WakerStack: 2},
			{Start: epoch + 6_000_000, Time: epoch + 8_000_000, Number: 75, By: threadtrace.WakerKernel, Process: 90, Thread: 90, Name: "jbd2/vda", Uninterruptible: true},
			{Start: epoch + 7_000_000, Time: epoch + 9_000_000, Number: 202},
		},
	}
}

func exampleCoverage() *threadtrace.Coverage {
	return &threadtrace.Coverage{
		Start: epoch, End: epoch + 1_000_000_001, Traced: time.Second,
		SamplePeriod: 20_408_163, SnapshotPeriod: 200 * time.Millisecond, CPUTime: 123_456_789, RunDelay: 7_000_001,
		Threads: 4, Functions: 5123, Dropped: map[string]uint64{"ring_overwrite": 7, "slot_collision": 1},
	}
}

func TestGolden(t *testing.T) {
	for _, f := range []Format{FormatPacked, FormatEvent} {
		t.Run(string(f), func(t *testing.T) {
			ld := plog.NewLogs()
			recs := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
			AppendBatch(recs, f, threadtrace.ArchAMD64, exampleBatch())
			AppendCoverage(recs, exampleCoverage())
			compact, err := (&plog.JSONMarshaler{}).MarshalLogs(ld)
			if err != nil {
				t.Fatal(err)
			}
			var got bytes.Buffer
			if err = json.Indent(&got, compact, "", "  "); err != nil {
				t.Fatal(err)
			}
			got.WriteByte('\n')
			file := filepath.Join("testdata", string(f)+".json")
			if *update {
				if err = os.WriteFile(file, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got.Bytes(), want) {
				t.Errorf("differs from %s (run with -update if that is meant):\n%s", file, got.String())
			}
		})
	}
}

// TestEarlierRecords reads what was written before there were delays, before there were
// goroutines, and before there were wakings.
func TestEarlierRecords(t *testing.T) {
	batch, coverage := exampleBatch(), exampleCoverage()
	batch.Wakings = nil
	batch.Events = batch.Events[:len(batch.Events)-1]
	earlier(t, "packed-5.json", batch, coverage)
	batch.Events = batch.Events[:len(batch.Events)-1]
	earlier(t, "packed-4.json", batch, coverage)
	batch.Events[0].Delay, coverage.RunDelay = 0, 0
	earlier(t, "packed-3.json", batch, coverage)
}

func earlier(t *testing.T, file string, batch *threadtrace.Batch, coverage *threadtrace.Coverage) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	ld, err := (&plog.JSONUnmarshaler{}).UnmarshalLogs(text)
	if err != nil {
		t.Fatal(err)
	}
	batches, coverages := collected(t, ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords())
	if want := []*threadtrace.Batch{batch}; !reflect.DeepEqual(batches, want) {
		t.Errorf("got  %+v\nwant %+v", batches, want)
	}
	if want := []*threadtrace.Coverage{coverage}; !reflect.DeepEqual(coverages, want) {
		t.Errorf("got  %+v\nwant %+v", coverages, want)
	}
}

// collected decodes and fails the test on any error.
func collected(t *testing.T, recs plog.LogRecordSlice) (batches []*threadtrace.Batch, coverages []*threadtrace.Coverage) {
	t.Helper()
	errs := Decode(recs, Handler{
		Arch: threadtrace.ArchAMD64,
		Batch: func(arch string, b *threadtrace.Batch) {
			if arch != threadtrace.ArchAMD64 {
				t.Errorf("architecture %q", arch)
			}
			batches = append(batches, b)
		},
		Coverage: func(c *threadtrace.Coverage) { coverages = append(coverages, c) },
	})
	for _, err := range errs {
		t.Error(err)
	}
	return batches, coverages
}

func TestBothFormatsComeBack(t *testing.T) {
	for _, f := range []Format{FormatPacked, FormatEvent} {
		t.Run(string(f), func(t *testing.T) {
			other := &threadtrace.Batch{ThreadID: 9, ThreadName: "bio", Dropped: 2} // nothing but a loss
			recs := plog.NewLogRecordSlice()
			AppendBatch(recs, f, threadtrace.ArchAMD64, exampleBatch())
			recs.AppendEmpty().Body().SetStr("somebody else's record")
			AppendCoverage(recs, exampleCoverage())
			AppendBatch(recs, f, threadtrace.ArchAMD64, other)
			batches, coverages := collected(t, recs)
			if want := []*threadtrace.Batch{exampleBatch(), other}; !reflect.DeepEqual(batches, want) {
				t.Errorf("got  %+v\nwant %+v", batches, want)
			}
			if want := []*threadtrace.Coverage{exampleCoverage()}; !reflect.DeepEqual(coverages, want) {
				t.Errorf("got  %+v\nwant %+v", coverages[0], want[0])
			}
		})
	}
}

func TestEventsOfThreadsAreGroupedAndOrdered(t *testing.T) {
	recs := plog.NewLogRecordSlice()
	for _, b := range []*threadtrace.Batch{
		{ThreadID: 1, Events: []threadtrace.Event{{Time: 30, Number: 1}}},
		{ThreadID: 2, Events: []threadtrace.Event{{Time: 20, Number: 2}}},
		{ThreadID: 1, Events: []threadtrace.Event{{Time: 10, Number: 3}}},
	} {
		AppendBatch(recs, FormatEvent, threadtrace.ArchAMD64, b)
	}
	batches, _ := collected(t, recs)
	if len(batches) != 2 || len(batches[0].Events) != 2 || batches[0].Events[0].Number != 3 || batches[1].ThreadID != 2 {
		t.Errorf("got %+v", batches)
	}
}

func TestLargeBatchIsSplit(t *testing.T) {
	b := exampleBatch()
	for i := range 3 * MaxRecordEvents {
		b.Events = append(b.Events, threadtrace.Event{Time: epoch + int64(10_000_000+i), Stack: uint32(i % 3)})
	}
	recs := plog.NewLogRecordSlice()
	AppendBatch(recs, FormatPacked, threadtrace.ArchAMD64, b)
	if recs.Len() != 4 {
		t.Errorf("%d records", recs.Len())
	}
	batches, _ := collected(t, recs)
	var events int
	var dropped uint64
	for _, part := range batches {
		for _, ev := range part.Events {
			if orig := b.Events[events]; ev.Time != orig.Time || (ev.Stack == 0) != (orig.Stack == 0) ||
				ev.Stack != 0 && !reflect.DeepEqual(part.Stacks[ev.Stack-1], b.Stacks[orig.Stack-1]) {
				t.Fatalf("event %d: %+v, want %+v", events, ev, orig)
			}
			events++
		}
		dropped += part.Dropped
	}
	if events != len(b.Events) || dropped != b.Dropped {
		t.Errorf("%d events, %d dropped; want %d, %d", events, dropped, len(b.Events), b.Dropped)
	}
}

func TestImpossibleBatchIsCounted(t *testing.T) {
	for _, f := range []Format{FormatPacked, FormatEvent} {
		recs := plog.NewLogRecordSlice()
		AppendBatch(recs, f, "", &threadtrace.Batch{ThreadID: 5, Dropped: 1, Events: []threadtrace.Event{{Kind: 9}, {Kind: 9}}})
		var got []*threadtrace.Batch
		errs := Decode(recs, Handler{Batch: func(_ string, b *threadtrace.Batch) { got = append(got, b) }})
		if len(errs) != 0 || len(got) != 1 || got[0].Dropped != 3 || len(got[0].Events) != 0 {
			t.Errorf("%s: got %+v, %v", f, got, errs)
		}
	}
}

func TestBadRecordsAreNamedAndTheOthersDelivered(t *testing.T) {
	cases := map[string]struct {
		record func(rec plog.LogRecord)
		text   string
	}{
		"text body": {func(rec plog.LogRecord) { rec.SetEventName(EventBatch); rec.Body().SetStr("x") }, "not bytes"},
		"no block": {func(rec plog.LogRecord) {
			rec.SetEventName(EventBatch)
			rec.Body().SetEmptyBytes().FromRaw([]byte("PS"))
		}, "truncated"},
		"no thread":      {func(rec plog.LogRecord) { rec.SetEventName(EventCall) }, "thread.id is missing"},
		"no call":        {call(map[string]any{attrDuration: 1.0}), "neither"},
		"no duration":    {call(map[string]any{attrNumber: 1}), attrDuration},
		"bad duration":   {call(map[string]any{attrNumber: 1, attrDuration: -1.0}), "seconds"},
		"wrong type":     {call(map[string]any{attrNumber: true, attrDuration: 1.0}), "whole number"},
		"bad kind":       {call(map[string]any{attrKind: "guess"}), "guess"},
		"unknown name":   {call(map[string]any{attrName: "epoll_weight", attrDuration: 1}), "host.arch"},
		"bad stack":      {call(map[string]any{attrNumber: 1, attrDuration: 1, attrStackTrace: "at main.js:4"}), "function (module)"},
		"no cover":       {func(rec plog.LogRecord) { rec.SetEventName(EventCoverage) }, attrCoverDuration},
		"wide number":    {call(map[string]any{attrNumber: 1 << 40, attrDuration: 1}), "32 bits"},
		"negative drops": {call(map[string]any{attrNumber: 1, attrDuration: 1, attrDropped: -4}), "-4"},
		"wild block": {func(rec plog.LogRecord) {
			rec.SetEventName(EventBatch)
			block, _ := threadtrace.Encode("", &threadtrace.Batch{Events: []threadtrace.Event{{Time: -5}}})
			rec.Body().SetEmptyBytes().FromRaw(block)
		}, "event 0 has time -5"},
		"long wait": {func(rec plog.LogRecord) {
			rec.SetEventName(EventBatch)
			block, _ := threadtrace.Encode("", &threadtrace.Batch{Events: []threadtrace.Event{
				{Kind: threadtrace.KindBlocked, Time: epoch, Elapsed: 11 * 365 * 24 * 3600e9},
			}})
			rec.Body().SetEmptyBytes().FromRaw(block)
		}, "event 0 has time"},
		"long call": {call(map[string]any{attrNumber: 1, attrDuration: 11 * 365 * 24 * 3600.0}), "seconds"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			recs := plog.NewLogRecordSlice()
			AppendBatch(recs, FormatPacked, threadtrace.ArchAMD64, exampleBatch())
			c.record(recs.AppendEmpty())
			AppendBatch(recs, FormatEvent, threadtrace.ArchAMD64, exampleBatch())
			var delivered int
			errs := Decode(recs, Handler{Arch: "amd64", Batch: func(string, *threadtrace.Batch) { delivered++ }})
			if delivered != 2 || len(errs) != 1 || !strings.Contains(errs[0].Error(), "log record 1 (") || !strings.Contains(errs[0].Error(), c.text) {
				t.Errorf("%d delivered, errors %v; want one about %q", delivered, errs, c.text)
			}
		})
	}
}

func call(attrs map[string]any) func(rec plog.LogRecord) {
	return func(rec plog.LogRecord) {
		rec.SetEventName(EventCall)
		_ = rec.Attributes().FromRaw(attrs)
		rec.Attributes().PutInt(attrThreadID, 1)
	}
}

func TestNumbersAreTakenFromOtherTypes(t *testing.T) {
	recs := plog.NewLogRecordSlice()
	rec := recs.AppendEmpty()
	rec.SetTimestamp(pcommon.Timestamp(epoch))
	rec.SetEventName(EventCall)
	_ = rec.Attributes().FromRaw(map[string]any{attrThreadID: "17", attrName: "futex", attrDuration: "0.5", attrReturn: -110.0})
	batches, _ := collected(t, recs)
	want := threadtrace.Event{Time: epoch, Number: 202, Duration: 500_000_000, Return: -110}
	if len(batches) != 1 || batches[0].ThreadID != 17 || batches[0].Events[0] != want {
		t.Errorf("got %+v", batches)
	}
}

func TestStackTextRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	word := func() string {
		var out strings.Builder
		for range r.IntN(10) {
			out.WriteString([]string{"a", " ", "(", ")", " (", "[library]", " [inlined]", ":", "\\", "\n", "é", "\xff", "7", "..."}[r.IntN(14)])
		}
		return out.String()
	}
	for range 5000 {
		want := threadtrace.Stack{Complete: r.IntN(2) == 0}
		for range r.IntN(4) {
			f := threadtrace.Frame{Function: word(), Module: word(), Origin: threadtrace.Origin(r.IntN(4)), Inlined: r.IntN(2) == 0}
			if r.IntN(2) == 0 {
				f.File, f.Line = word(), int32(r.IntN(100)-3)
			}
			want.Frames = append(want.Frames, f)
		}
		text := StackText(want)
		if !utf8.ValidString(text) {
			t.Fatalf("not UTF-8: %q", text)
		}
		got, err := ParseStack(text)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%q\ngot  %+v, %v\nwant %+v", text, got, err, want)
		}
	}
}

func FuzzParseStack(f *testing.F) {
	for _, s := range exampleBatch().Stacks {
		f.Add(StackText(s))
	}
	f.Add("f (m) a:1 [unknown] [inlined]\n...")
	f.Add(`\x`)
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseStack(text)
		if err != nil {
			return
		}
		again, err := ParseStack(StackText(s))
		if err != nil || !reflect.DeepEqual(again, s) {
			t.Fatalf("%q: %+v, then %+v, %v", text, s, again, err)
		}
	})
}

func FuzzDecode(f *testing.F) {
	for _, format := range []Format{FormatPacked, FormatEvent} {
		ld := plog.NewLogs()
		recs := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
		AppendBatch(recs, format, threadtrace.ArchAMD64, exampleBatch())
		AppendCoverage(recs, exampleCoverage())
		data, err := (&plog.ProtoMarshaler{}).MarshalLogs(ld)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(_ *testing.T, data []byte) {
		ld, err := (&plog.ProtoUnmarshaler{}).UnmarshalLogs(data)
		if err != nil {
			return
		}
		for _, rl := range ld.ResourceLogs().All() {
			for _, sl := range rl.ScopeLogs().All() {
				_ = fmt.Sprint(Decode(sl.LogRecords(), Handler{Arch: "amd64"}))
			}
		}
	})
}

func BenchmarkAppendPacked(b *testing.B) {
	batch := exampleBatch()
	for i := range 10_000 {
		batch.Events = append(batch.Events, threadtrace.Event{Time: epoch + int64(5_000_000+i*1000), Duration: 700, Number: 1, Stack: uint32(i % 3)})
	}
	b.ReportAllocs()
	for b.Loop() {
		AppendBatch(plog.NewLogRecordSlice(), FormatPacked, threadtrace.ArchAMD64, batch)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(batch.Events)), "ns/event")
}
