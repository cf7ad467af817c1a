package threadtrace

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// randomBatch gives any batch the type allows, extremes included.
func randomBatch(r *rand.Rand) *Batch {
	b := &Batch{ThreadID: int32(r.Uint32()), ThreadName: randomString(r), Dropped: r.Uint64() >> r.IntN(64)}
	for range r.IntN(5) {
		s := Stack{Complete: r.IntN(2) == 0}
		for range r.IntN(6) {
			s.Frames = append(s.Frames, Frame{
				Function: randomString(r), Module: randomString(r), File: randomString(r),
				Line: int32(r.Uint32()) >> r.IntN(32), Origin: Origin(r.IntN(4)), Inlined: r.IntN(2) == 0,
			})
		}
		if len(s.Frames) > 0 && r.IntN(2) == 0 {
			s.Frames = append(s.Frames, s.Frames[0]) // recursion
		}
		b.Stacks = append(b.Stacks, s)
	}
	for range r.IntN(50) {
		ev := Event{
			Kind: Kind(r.IntN(4)), Time: r.Int64(), Duration: int64(r.Uint64()) >> r.IntN(64),
			Number: int32(r.Uint32()) >> r.IntN(32), Return: int32(r.Uint32()) >> r.IntN(32),
			Stack: uint32(r.IntN(len(b.Stacks) + 1)),
		}
		if r.IntN(3) == 0 {
			ev.Elapsed = int64(r.Uint64())
			ev.Cut = true
		}
		if r.IntN(20) == 0 {
			ev.Delay = int64(r.Uint64()) >> r.IntN(64)
		}
		if r.IntN(20) == 0 {
			ev.Time = math.MinInt64
		}
		b.Events = append(b.Events, ev)
	}
	for range max(0, r.IntN(8)-4) {
		c := Context{Time: r.Int64()}
		for i := range c.TraceID {
			c.TraceID[i] = byte(r.Uint32())
		}
		c.ParentID[r.IntN(8)] = byte(r.Uint32())
		b.Contexts = append(b.Contexts, c)
	}
	for range max(0, r.IntN(8)-4) {
		w := Waking{
			Start: r.Int64() >> 1, Number: int32(r.Uint32()), By: Waker(r.IntN(3)), Uninterruptible: r.IntN(2) == 0,
			Stack: uint32(r.IntN(len(b.Stacks) + 1)), WakerStack: uint32(r.IntN(len(b.Stacks) + 1)),
		}
		w.Time = w.Start + r.Int64()>>(1+r.IntN(60))
		if w.By != WakerInterrupt {
			w.Process, w.Thread, w.Name = int32(r.Uint32()), int32(r.Uint32()), randomString(r)
		}
		b.Wakings = append(b.Wakings, w)
	}
	return b
}

func randomString(r *rand.Rand) string {
	b := make([]byte, r.IntN(12))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return string(b)
}

func TestEncodeDecodeIsIdentity(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var e Encoder
	var block []byte
	for i := range 2000 {
		want := randomBatch(r)
		var err error
		if block, err = e.Append(block[:0], ArchARM64, want); err != nil {
			t.Fatal(err)
		}
		arch, got, err := Decode(block)
		if err != nil {
			t.Fatalf("batch %d: %v", i, err)
		}
		if arch != ArchARM64 || !reflect.DeepEqual(got, want) {
			t.Fatalf("batch %d:\ngot  %+v\nwant %+v", i, got, want)
		}
	}
}

// TestDelaysCostNothingElsewhere: a batch is written as before they were known
// unless one of its events has some.
func TestDelaysCostNothingElsewhere(t *testing.T) {
	b := sampleBatch(1000)
	without, err := Encode(ArchAMD64, b)
	if err != nil {
		t.Fatal(err)
	}
	b.Events[500].Delay = 20_480
	with, err := Encode(ArchAMD64, b)
	if err != nil {
		t.Fatal(err)
	}
	if without[len(magic)] != 1 || with[len(magic)] != 4 {
		t.Errorf("versions %d and %d, want 1 and 4", without[len(magic)], with[len(magic)])
	}
	// The delay, and the count of contexts.
	if more := len(with) - len(without); more != 3+1 {
		t.Errorf("a delay takes %d bytes", more)
	}
}

func TestAppendLeavesTheRestOfTheSliceAlone(t *testing.T) {
	b := sampleBatch(10)
	alone, err := Encode(ArchAMD64, b)
	if err != nil {
		t.Fatal(err)
	}
	var e Encoder
	both, err := e.Append([]byte("before"), ArchAMD64, b)
	if err != nil || string(both) != "before"+string(alone) {
		t.Errorf("got %q, %v", both, err)
	}
}

func TestDecodeRefuses(t *testing.T) {
	good, err := Encode(ArchAMD64, sampleBatch(20))
	if err != nil {
		t.Fatal(err)
	}
	edit := func(f func(b []byte) []byte) []byte { return f(append([]byte(nil), good...)) }
	cases := map[string]struct {
		block []byte
		want  error
		text  string
	}{
		"empty":         {nil, ErrTruncated, "header"},
		"header only":   {good[:4], ErrTruncated, "4 bytes"},
		"half":          {good[:len(good)/2], ErrTruncated, "byte"},
		"foreign":       {[]byte("GIF89a-and-so-on"), ErrCorrupted, "not a packed block"},
		"newer":         {edit(func(b []byte) []byte { b[3] = 9; return b }), ErrNewerVersion, "9"},
		"version zero":  {edit(func(b []byte) []byte { b[3] = 0; return b }), ErrCorrupted, "version 0"},
		"checksum":      {edit(func(b []byte) []byte { b[len(b)-1] ^= 1; return b }), ErrCorrupted, "checksum"},
		"trailing":      {sealed(append(append([]byte(nil), good[:len(good)-crcSize]...), 1, 2)), ErrCorrupted, "2 bytes after"},
		"huge count":    {sealed([]byte("PSB\x01\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\x7f")), ErrTooLarge, "events"},
		"count no data": {sealed([]byte("PSB\x01\x00\x00\x00\x00\xff\xff\x03")), ErrTruncated, "events"},
		"stack ref":     {sealed([]byte("PSB\x01\x00\x00\x00\x00\x01\x00\x00\x00\x04\x00\x00\x00\x00\x07")), ErrCorrupted, "stack 7 of 0"},
		"event flags":   {sealed([]byte("PSB\x01\x00\x00\x00\x00\x01\x00\x00\x00\xf0\x00\x00\x00\x00")), ErrCorrupted, "flags 0xf0"},
		"string index":  {sealed([]byte("PSB\x01\x00\x00\x00\x00\x00\x00\x01\x05\x00\x00\x00\x00\x00")), ErrCorrupted, "function 5 of 0"},
		"overlong":      {sealed([]byte("PSB\x01\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")), ErrCorrupted, "64 bits"},
		"no contexts":   {sealed([]byte("PSB\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00")), ErrCorrupted, "there are none"},
		"early delay":   {sealed([]byte("PSB\x03\x00\x00\x00\x00\x01\x00\x00\x00\x20\x00\x00\x00\x00\x07")), ErrCorrupted, "flags 0x20"},
		"no delay":      {sealed([]byte("PSB\x04\x00\x00\x00\x00\x01\x00\x00\x00\x20\x00\x00\x00\x00")), ErrTruncated, "a delay"},
		"few contexts":  {sealed(append([]byte("PSB\x03\x00\x00\x00\x00\x00\x00\x00\x00\x02"), make([]byte, 40)...)), ErrTruncated, "2 trace contexts"},
		"long times":    {sealed(append([]byte("PSB\x03\x00\x00\x00\x00\x00\x00\x00\x00\x01\xff\x7f"), make([]byte, 23)...)), ErrTruncated, "23 bytes left"},
		"old, contexts": {sealed(append([]byte("PSB\x02\x00\x00\x00\x00\x00\x00\x00\x00\x01"), make([]byte, 25)...)), ErrCorrupted, "bytes after"},
		"wide int32":    {sealed([]byte("PSB\x01\x00\x00\xff\xff\xff\xff\xff\x01\x00\x00\x00\x00\x00")), ErrCorrupted, "32 bits"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			_, b, err := Decode(c.block)
			if b != nil || !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
				t.Errorf("got %+v, %v; want %v with %q", b, err, c.want, c.text)
			}
		})
	}
	for n := range good {
		if _, _, err := Decode(good[:n]); err == nil {
			t.Fatalf("%d of %d bytes decoded", n, len(good))
		}
	}
	for i := range good {
		bad := append([]byte(nil), good...)
		bad[i] ^= 0x10
		if _, _, err := Decode(bad); err == nil {
			t.Fatalf("flipped bit in byte %d went unseen", i)
		}
	}
}

func TestEncodeRefuses(t *testing.T) {
	cases := map[string]struct {
		batch *Batch
		text  string
	}{
		"kind":       {&Batch{Events: []Event{{Kind: 4}}}, "kind 4"},
		"stack":      {&Batch{Events: []Event{{Stack: 1}}}, "stack 1 of 0"},
		"origin":     {&Batch{Stacks: []Stack{{Frames: []Frame{{Origin: 7}}}}}, "origin 7"},
		"events":     {&Batch{Events: make([]Event, MaxEvents+1)}, "split"},
		"wakings":    {&Batch{Wakings: make([]Waking, MaxWakings+1)}, "split"},
		"wakers":     {&Batch{Wakings: []Waking{{By: 3}}}, "by 3"},
		"backwards":  {&Batch{Wakings: []Waking{{Time: 1, Start: 2}}}, "from 2 to 1"},
		"its stack":  {&Batch{Wakings: []Waking{{WakerStack: 1}}}, "1 of 0"},
		"contexts":   {&Batch{Contexts: make([]Context, MaxContexts+1)}, "split"},
		"all frames": {&Batch{Stacks: []Stack{{Frames: make([]Frame, MaxFrames)}, {Frames: make([]Frame, 1)}}}, "split"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var e Encoder
			out, err := e.Append([]byte("kept"), "", c.batch)
			if err == nil || !strings.Contains(err.Error(), c.text) || string(out) != "kept" {
				t.Errorf("got %q, %v", out, err)
			}
		})
	}
}

func TestLongStringsAreCut(t *testing.T) {
	long := strings.Repeat("é", MaxString)
	b := &Batch{Stacks: []Stack{{Frames: []Frame{{Function: long + "a"}, {Function: long + "b"}}}}}
	block, err := Encode("", b)
	if err != nil {
		t.Fatal(err)
	}
	_, got, err := Decode(block)
	if err != nil {
		t.Fatal(err)
	}
	if f := got.Stacks[0].Frames[0].Function; len(f) > MaxString || !strings.HasPrefix(long, f) || len(f) < MaxString-4 {
		t.Errorf("cut to %d bytes", len(f))
	}
}

func TestDecodeAllocationIsBounded(t *testing.T) {
	// The worst block: one frame, and one stack that repeats it.
	body := []byte("PSB\x01\x00\x00\x00\x00\x00\x01\x00\x01\x00\x00\x00\x00\x00\x01\x00")
	const depth = MaxFrames
	body = binary.AppendUvarint(body, depth)
	block := sealed(append(body, make([]byte, depth)...))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, _, err := Decode(block); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > 100*uint64(len(block)) {
		t.Errorf("%d bytes allocated for a block of %d", got, len(block))
	}
}

// sealed puts a valid checksum after a block's contents.
func sealed(body []byte) []byte {
	return binary.LittleEndian.AppendUint32(body, crc32.Checksum(body, castagnoli))
}

func FuzzDecode(f *testing.F) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 8 {
		block, err := Encode(ArchAMD64, randomBatch(r))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(block)
		f.Add(block[:len(block)/2])
	}
	f.Add([]byte("PSB\x01\x00\x00\x00\x00\x01\x00\x00\x00\x04\x00\x00\x00\x00\x07crc!"))
	f.Add([]byte("PSB\x04\x00\x00\x00\x00\x01\x00\x00\x00\x20\x00\x00\x00\x00\x07\x00crc!"))
	f.Fuzz(func(t *testing.T, block []byte) {
		_, _, _ = Decode(block)
		if len(block) < headerSize+crcSize {
			return
		}
		// Past the checksum, where the fuzzer would never come by itself.
		arch, b, err := Decode(sealed(append([]byte(nil), block[:len(block)-crcSize]...)))
		if err != nil {
			return
		}
		again, err := Encode(arch, b)
		if err != nil {
			t.Fatalf("decoded, but refused by Encode: %v", err)
		}
		if _, b2, err := Decode(again); err != nil || !reflect.DeepEqual(b, b2) {
			t.Fatalf("not the same after a second time: %v", err)
		}
	})
}

// sampleBatch is what a server's thread looks like: epoll_wait, read, write in
// turn, every sixteenth call with a stack.
func sampleBatch(n int) *Batch {
	b := &Batch{ThreadID: 4711, ThreadName: "io_thd_1"}
	for i := range 8 {
		s := Stack{Complete: true}
		for j := range 12 {
			s.Frames = append(s.Frames, Frame{Function: fmt.Sprintf("function_%d_%d", i%4, j), Module: "redis-server", Origin: Origin(j % 2)})
		}
		b.Stacks = append(b.Stacks, s)
	}
	now := int64(1_700_000_000_000_000_000)
	for i := range n {
		ev := Event{Time: now, Duration: int64(800 + i%7000), Number: [...]int32{232, 0, 1}[i%3], Return: int32(i % 100)}
		if i%16 == 0 {
			ev.Stack = uint32(i/16%8) + 1
		}
		now += ev.Duration + 500
		b.Events = append(b.Events, ev)
	}
	return b
}

func BenchmarkEncode(b *testing.B) {
	const events = 10_000
	batch := sampleBatch(events)
	var e Encoder
	block, err := e.Append(nil, ArchAMD64, batch)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		block, _ = e.Append(block[:0], ArchAMD64, batch)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/events, "ns/event")
	b.ReportMetric(float64(len(block))/events, "bytes/event")
}

func BenchmarkDecode(b *testing.B) {
	const events = 10_000
	block, err := Encode(ArchAMD64, sampleBatch(events))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := Decode(block); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/events, "ns/event")
}

func TestEncodeDoesNotAllocate(t *testing.T) {
	batch := sampleBatch(1000)
	var e Encoder
	block, err := e.Append(nil, ArchAMD64, batch)
	if err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(20, func() { block, _ = e.Append(block[:0], ArchAMD64, batch) }); n != 0 {
		t.Errorf("%v allocations per batch", n)
	}
}

func TestGoroutinesAreKept(t *testing.T) {
	b := &Batch{ThreadID: -3, ThreadName: "goroutines of main.serve", Events: []Event{
		{Kind: KindBlocked, Time: 1, Duration: 400, Number: WaitMutex, Population: 24},
		{Kind: KindBlocked, Time: 1, Duration: 400, Number: WaitIO, Elapsed: 7, Delay: 9, Population: 65535},
		{Kind: KindBlocked, Time: 2, Duration: 400, Number: 202},
	}}
	block, err := Encode(ArchAMD64, b)
	if err != nil {
		t.Fatal(err)
	}
	_, got, err := Decode(block)
	if err != nil || got.ThreadID != b.ThreadID || !slices.Equal(got.Events, b.Events) {
		t.Errorf("%+v, %v", got, err)
	}
	if block[len(magic)] != 5 {
		t.Errorf("version %d", block[len(magic)])
	}
	for n := WaitChanReceive; n <= WaitIO; n++ {
		name := Name(ArchARM64, n)
		if back, ok := Number(ArchARM64, name); !ok || back != n || !IsGoroutineWait(n) || NewClasses(ArchAMD64).Of(n) == 0 {
			t.Errorf("%d is %q, which is %d", n, name, back)
		}
	}
	if IsGoroutineWait(WaitIO+1) || IsGoroutineWait(WaitChanReceive-1) || len(goroutineNames) != len(goroutineClasses) {
		t.Error("there are more or fewer waits than names")
	}
}
