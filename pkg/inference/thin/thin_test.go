package thin

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/perfscope/perfscope/pkg/threadtrace"
)

const epoch = int64(1_700_000_000_000_000_000)

func number(t testing.TB, name string) int32 {
	t.Helper()
	nr, ok := threadtrace.Number("amd64", name)
	if !ok {
		t.Fatalf("no call %q", name)
	}
	return nr
}

func stack(functions ...string) threadtrace.Stack {
	s := threadtrace.Stack{Complete: true}
	for _, f := range functions {
		s.Frames = append(s.Frames, threadtrace.Frame{Function: f, Module: "server", File: "/src/" + f + ".c", Line: 7})
	}
	return s
}

func TestARecorderSumsUpWhatItIsGiven(t *testing.T) {
	const ms = int64(time.Millisecond)
	read, open, epoll := number(t, "read"), number(t, "openat"), number(t, "epoll_wait")
	r := NewRecorder("amd64", time.Second)
	r.AddBatch(&threadtrace.Batch{
		ThreadID: 4711, ThreadName: "worker", Dropped: 3, Stacks: []threadtrace.Stack{stack("inner", "main"), stack("wait", "main")},
		Events: []threadtrace.Event{
			{Kind: threadtrace.KindSample, Time: epoch + 100*ms, Duration: 20 * ms, Number: threadtrace.NoCall, Stack: 1},
			{Kind: threadtrace.KindSample, Time: epoch + 200*ms, Duration: 20 * ms, Number: read, Stack: 1},
			{Kind: threadtrace.KindCall, Time: epoch + 210*ms, Duration: 5 * ms, Delay: ms, Number: read, Return: 100, Stack: 1},
			{Kind: threadtrace.KindCall, Time: epoch + 220*ms, Duration: ms, Number: open, Return: -24},
			{Kind: threadtrace.KindCall, Time: epoch + 230*ms, Duration: 40 * ms, Number: epoll},
			{Kind: threadtrace.KindBlocked, Time: epoch + 400*ms, Duration: 200 * ms, Elapsed: 1500 * ms, Number: epoll, Stack: 2},
			{Kind: threadtrace.KindInFlight, Time: epoch + 500*ms, Duration: 10 * ms, Number: read, Cut: true},
			// It began long before; only so much of it can count.
			{Kind: threadtrace.KindCall, Time: epoch - 60e9, Duration: 60e9 + 900*ms, Number: read},
		},
	})
	r.AddCoverage(threadtrace.Coverage{
		Start: epoch, End: epoch + 2e9, Traced: 2 * time.Second, CPUTime: 50 * time.Millisecond,
		SamplePeriod: 20 * time.Millisecond, SnapshotPeriod: 200 * time.Millisecond, Functions: 9, Dropped: map[string]uint64{"ring_overwrite": 4, "no_stack": 5},
	})
	r.AddMachine(&threadtrace.Machine{
		Start: epoch - 5e8, End: epoch + 5e8,
		Readings: []threadtrace.Reading{
			{Measure: threadtrace.MeasureStopped, Value: 4e8}, {Measure: threadtrace.MeasureCPUs, Value: 2},
			{Measure: threadtrace.MeasurePeerWait, Resource: "10.0.0.2:5432", Value: 2e8},
		},
		Users: []threadtrace.User{{Of: threadtrace.MeasureHostBusy, Name: "tar", PID: 7, Value: 2e8}, {Of: threadtrace.MeasureHostBusy, Name: "tar", PID: 8, Value: 4e8}},
	})
	over := r.Advance(epoch, epoch)
	if len(over) != 1 || over[0].Machine.Known != 5e8 { // the one before has some of the machine, too
		t.Fatalf("before it began: %+v", over)
	}
	over = r.Advance(epoch+1e9, epoch+3e9)
	if len(over) != 1 {
		t.Fatalf("%d intervals", len(over))
	}
	got := over[0]
	bit := func(at int64) uint64 { return 1 << (at * Parts / 1e9) }
	want := &Interval{
		Start: epoch, End: epoch + 1e9, Delivered: epoch + 3e9,
		Coverage: Coverage{
			From: epoch, To: epoch + 1e9, Looked: 1e9, Traced: 1e9, CPUTime: 25 * ms, SamplePeriod: 20 * ms, SnapshotPeriod: 200 * ms,
			CPUOutside: 20 * ms, Gaps: 200 * ms, Looks: 1, Functions: 9, Dropped: 7,
		},
		Threads: []int32{1},
		Cells: []Cell{
			{Thread: 1, Stack: 1, Time: 40 * ms, Moments: bit(100*ms) | bit(200*ms)},
			{Thread: 1, Stack: 2, Number: epoll, Waiting: true, Time: 200 * ms, Longest: 1500 * ms, Moments: bit(400 * ms)},
		},
		Calls: []Calls{
			{Number: read, N: 2, Time: 14*ms + int64(LongestCall), Bytes: 100},
			{Number: epoll, N: 1, Time: 40 * ms},
			{Number: open, Errno: 24, N: 1, Time: ms},
		},
		TimedOut: []TimedOut{{epoll, 40 * ms}},
		Sites:    []Site{{Number: read, Stack: 1, N: 1}},
		Refused:  []Refused{{Number: open, Errno: 24, Thread: 1, First: epoch + 220*ms, Last: epoch + 221*ms}},
		Machine: Machine{
			Known: 5e8,
			Readings: []Reading{
				{Measure: threadtrace.MeasureStopped, Value: 2e8}, {Measure: threadtrace.MeasurePeerWait, Resource: 1, Value: 1e8}, {Measure: threadtrace.MeasureCPUs, Value: 2},
			},
			Users: []User{{Of: threadtrace.MeasureHostBusy, Who: 2, Value: 3e8}},
		},
		Stacks: got.Stacks,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	for _, s := range got.Stacks {
		for _, f := range s.Frames {
			if f.File != "" || f.Line != 0 {
				t.Errorf("%s keeps its place in the source: %s:%d", f.Function, f.File, f.Line)
			}
		}
	}
	if rest := r.Advance(epoch+2e9, epoch+3e9); len(rest) != 1 || rest[0].Dropped != 0 || rest[0].CPUTime != 25*ms {
		t.Errorf("the second half of the coverage: %+v", rest)
	}
}

// random are intervals such as a recorder gives.
func random(seed uint64, n int) []*Interval {
	rng := rand.New(rand.NewPCG(seed, 1))
	r := NewRecorder("amd64", time.Second)
	var all []*Interval
	for s := range int64(n) {
		now := epoch + s*1e9
		for id := range int32(1 + rng.IntN(6)) {
			b := threadtrace.Batch{ThreadID: 100 + id}
			for range rng.IntN(40) {
				b.Stacks = append(b.Stacks, stack(string(rune('a'+rng.IntN(26))), string(rune('a'+rng.IntN(26))), "main"))
				e := threadtrace.Event{
					Kind: threadtrace.Kind(rng.IntN(4)), Time: now + rng.Int64N(1e6)*1e3, Duration: rng.Int64N(3e4) * 1e3, //nolint:gosec // below four
					Number: int32(rng.IntN(300)), Return: int32(rng.IntN(200) - 120), Stack: uint32(len(b.Stacks)), //nolint:gosec // small
				}
				if e.Kind == threadtrace.KindBlocked {
					e.Elapsed = rng.Int64N(128) * 1e6
				}
				b.Events = append(b.Events, e)
			}
			for range min(4, len(b.Stacks)) {
				at := now + rng.Int64N(1e9)
				b.Wakings = append(b.Wakings, threadtrace.Waking{
					Time: at, Start: at - rng.Int64N(1e8), Number: 202, By: threadtrace.Waker(rng.IntN(3)), Thread: 100 + rng.Int32N(9), Name: "waker", //nolint:gosec // below three
					Stack: 1, WakerStack: uint32(len(b.Stacks)), //nolint:gosec // small
				})
			}
			r.AddBatch(&b)
		}
		r.AddCoverage(threadtrace.Coverage{
			Start: now, End: now + 1e9, Traced: time.Duration(rng.Int64N(1e6) * 1e3), SamplePeriod: 20 * time.Millisecond,
			SnapshotPeriod: 200 * time.Millisecond, CPUTime: time.Duration(rng.Int64N(1e6) * 1e3),
		})
		if rng.IntN(3) > 0 { // not all is known all the time
			r.AddMachine(&threadtrace.Machine{
				Start: now, End: now + 1e9,
				Readings: []threadtrace.Reading{{Measure: threadtrace.MeasureHostBusy, Value: rng.Int64N(1e9)}, {Measure: threadtrace.MeasureDiskTime, Resource: string(rune('a' + rng.IntN(9))), Value: rng.Int64N(1e9)}},
				Users:    []threadtrace.User{{Of: threadtrace.MeasureHostBusy, Name: string(rune('a' + rng.IntN(26))), Value: rng.Int64N(1e9)}},
			})
		}
		all = append(all, r.Advance(now, now+1e6)...)
	}
	return all
}

func write(t testing.TB, services map[string][]*Interval) []byte {
	t.Helper()
	var out bytes.Buffer
	w := NewWriter(&out)
	for name, intervals := range services {
		if err := w.Begin(Service{name, "amd64"}); err != nil {
			t.Fatal(err)
		}
		for _, i := range intervals {
			if err := w.Write(i); err != nil {
				t.Fatal(err)
			}
		}
	}
	return out.Bytes()
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	want := map[string][]*Interval{"one": random(1, 30), "two": random(2, 20)}
	got := map[string][]*Interval{}
	r := NewReader(bytes.NewReader(write(t, want)))
	for {
		i, first, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		name := r.Service().Name
		if first != (len(got[name]) == 0) {
			t.Errorf("interval %d of %s: first %v", len(got[name]), name, first)
		}
		got[name] = append(got[name], i)
	}
	for name := range want {
		if len(got[name]) != len(want[name]) {
			t.Fatalf("%s: %d intervals, want %d", name, len(got[name]), len(want[name]))
		}
		for n, i := range want[name] {
			a, b := *i, *got[name][n]
			withoutEmpty(&a)
			withoutEmpty(&b)
			if !reflect.DeepEqual(a, b) {
				t.Fatalf("%s: interval %d:\ngot  %+v\nwant %+v", name, n, b, a)
			}
		}
	}
}

// withoutEmpty makes what is empty nil.
func withoutEmpty(i *Interval) {
	v := reflect.ValueOf(i).Elem()
	for n := range v.NumField() {
		if f := v.Field(n); f.Kind() == reflect.Slice && f.Len() == 0 {
			f.SetZero()
		}
	}
}

func TestALongWaitKeepsWhetherItIsLong(t *testing.T) {
	for _, ms := range []int64{0, 1, 127, 128, 999, 1000, 1001, 60_000, 1 << 40} {
		in := uint64(ms) //nolint:gosec // not negative
		if out := floor(in, longestBits); out > in || float64(in-out) > 0.016*float64(in) || (out >= 1000) != (in >= 1000) {
			t.Errorf("%d ms are kept as %d", in, out)
		}
	}
}

func TestAReaderRefusesWhatIsWrong(t *testing.T) {
	good := write(t, map[string][]*Interval{"one": random(3, 5)})
	record := func(kind byte, body ...byte) []byte {
		return append(append([]byte("PST\x01"), kind), append(binary.AppendUvarint(nil, uint64(len(body))), body...)...)
	}
	for _, tc := range []struct {
		name string
		data []byte
		want error
	}{
		{"nothing", nil, ErrTruncated},
		{"something else", []byte("OTLP logs"), ErrCorrupted},
		{"a newer version", []byte("PST\x05"), ErrNewerVersion},
		{"an end within a record", good[:len(good)-3], ErrTruncated},
		{"an interval of nobody", record(recordInterval, 0), ErrCorrupted},
		{"an unknown record", record(9), ErrCorrupted},
		{"more than it says", record(recordService, 1, 'a', 0, 'x'), ErrCorrupted},
		{"a record that is too long", append([]byte("PST\x01\x01"), binary.AppendUvarint(nil, MaxRecord+1)...), ErrTooLarge},
		{"a name that is not there", record(recordService, 200, 1), ErrTruncated},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := NewReader(bytes.NewReader(tc.data))
			var err error
			for err == nil {
				_, _, err = r.Next()
			}
			if !errors.Is(err, tc.want) || !strings.HasPrefix(err.Error(), "thin recording: ") {
				t.Errorf("%v, want %v", err, tc.want)
			}
		})
	}
}

func TestAWriterRefusesWhatNobodyCouldRead(t *testing.T) {
	w := NewWriter(io.Discard)
	i := random(4, 3)[1]
	if err := w.Write(i); err == nil {
		t.Error("an interval before any service is written")
	}
	if err := w.Begin(Service{Name: "one", Arch: "amd64"}); err != nil {
		t.Fatal(err)
	}
	if err := w.Write(i); err != nil {
		t.Fatal(err)
	}
	other := *i
	other.Stacks = i.Stacks[:1]
	if err := w.Write(&other); err == nil {
		t.Error("the dictionary of another service is written")
	}
}

func TestARecordersMemoryIsBounded(t *testing.T) {
	r := NewRecorder("amd64", time.Second)
	for n := range int64(10 * maxOpen) {
		r.AddBatch(&threadtrace.Batch{ThreadID: int32(n), Events: []threadtrace.Event{ //nolint:gosec // small
			{Kind: threadtrace.KindSample, Time: epoch + n*1e9, Duration: 1e6},
		}})
	}
	r.AddCoverage(threadtrace.Coverage{Start: epoch, End: math.MaxInt64 / 2, Traced: 1})
	if len(r.open) > maxOpen {
		t.Errorf("%d open intervals", len(r.open))
	}
	r = NewRecorder("amd64", time.Second)
	for n := range int32(maxThreads + 10) {
		r.thread(n)
	}
	if len(r.threads) > maxThreads || r.thread(5) != maxThreads+11 {
		t.Errorf("%d threads are remembered", len(r.threads))
	}
}

func FuzzReader(f *testing.F) {
	f.Add(write(f, map[string][]*Interval{"one": random(5, 3)}))
	f.Add([]byte("PST\x01\x01\x02\x00\x00\x02\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := NewReader(bytes.NewReader(data))
		for {
			i, _, err := r.Next()
			if err != nil {
				return
			}
			// What was read can be written, and is the same then.
			var out bytes.Buffer
			w := NewWriter(&out)
			if err := errors.Join(w.Begin(r.Service()), w.Write(i)); err != nil && !strings.Contains(err.Error(), "at most") {
				t.Fatal(err)
			} else if err != nil {
				return
			}
			if _, _, err := NewReader(&out).Next(); err != nil {
				t.Fatalf("what was read and written again: %v", err)
			}
		}
	})
}
