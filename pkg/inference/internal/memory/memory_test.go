package memory

import (
	"bytes"
	"encoding/gob"
	"errors"
	"math"
	"reflect"
	"testing"

	"github.com/perfscope/perfscope/internal/frames"
	"github.com/perfscope/perfscope/pkg/inference/internal/hop"
)

func sample(hops int) *Memory {
	m := &Memory{
		Instance: "one", Arch: "amd64", HopLength: 5e9, Learned: int64(hops), Days: 0.5,
		Saved: frames.Saved{
			Functions: []frames.SavedFunction{{Name: "parse", Module: "server", Line: 3}, {Name: "main", Module: "server", Runtime: true}},
			Stacks:    []frames.SavedStack{{Frames: []int32{0, 1}, Flags: 2}},
		},
		Open: &Open{Instance: "one", ID: "x", Onset: 1, Until: 2, Reported: 2, Lost: 1},
	}
	hop := func(i int) Hop {
		return Hop{
			Start: int64(i) * 5e9, End: int64(i+1) * 5e9, Seconds: 5, CallSeconds: 1, CPUTotal: 1e8, Measures: make([]float64, workMeasures),
			CPU: []OfStack{{1, 1e8}}, Wait: []Wait{{Stack: 1, Number: 7, Time: 5, Threads: 1, Moments: 3}}, Calls: []Call{{1, 0, 2, 3, 4}},
			Sites: []Site{{1, 0, 1, 2}}, Homes: []Home{{1, 2, 1, 0.5}}, ThreadCPU: []OfThread{{1, 2}}, TimedOut: []OfCall{{1, 2}}, Spinning: []int32{4}, Born: []int32{1},
			Machine: Machine{Seconds: 5, Figures: []Figure{{2, "vda", 1e8}}, Users: []User{{2, "dd", 7, 5}}},
		}
	}
	for i := range hops {
		m.Hops = append(m.Hops, hop(i))
	}
	m.Outline = []byte("a memory of its own")
	m.Starts = []Start{{Began: 1, Hops: []Hop{hop(1)}}}
	m.States = []State{{Instance: "one", ID: "y", Times: []int64{5}, First: 5, Seen: 1, Hops: []Hop{hop(2)}}}
	return m
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	want := sample(3)
	data, err := want.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v\nbecame\n%+v", want, got)
	}
}

func TestDamageIsTold(t *testing.T) {
	good, err := sample(3).Encode()
	if err != nil {
		t.Fatal(err)
	}
	changed := func(at int, to byte) []byte {
		data := bytes.Clone(good)
		data[at] = to
		return data
	}
	wrong := func(change func(*Memory)) []byte {
		m := sample(2)
		change(m)
		data, err := m.Encode()
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	for name, tc := range map[string]struct {
		data []byte
		want error
	}{
		"nothing":                {nil, ErrNotMemory},
		"another file":           {[]byte("PK\x03\x04 something that is long enough"), ErrNotMemory},
		"a later version":        {changed(len(magic)-1, 9), ErrVersion},
		"cut off":                {good[:len(good)-20], ErrDamaged},
		"only the head":          {good[:len(magic)], ErrDamaged},
		"a flipped byte":         {changed(len(good)-30, good[len(good)-30]^0x55), ErrDamaged},
		"too large":              {append(bytes.Clone(good), make([]byte, MaxBytes)...), ErrDamaged},
		"a stack":                {wrong(func(m *Memory) { m.Hops[0].CPU[0].Stack = 2 }), ErrDamaged},
		"a function":             {wrong(func(m *Memory) { m.Hops[0].Born[0] = 9 }), ErrDamaged},
		"a negative time":        {wrong(func(m *Memory) { m.Hops[1].CPU[0].Time = -1 }), ErrDamaged},
		"a hop backwards":        {wrong(func(m *Memory) { m.Hops[1].End = 0 }), ErrDamaged},
		"too many hops":          {wrong(func(m *Memory) { m.Hops = sample(MaxHops + 1).Hops }), ErrDamaged},
		"a state without a time": {wrong(func(m *Memory) { m.States[0].Times = nil }), ErrDamaged},
		"too long an outline":    {wrong(func(m *Memory) { m.Outline = make([]byte, MaxOutline+1) }), ErrDamaged},
		"missing measures":       {wrong(func(m *Memory) { m.Hops[0].Measures = nil }), ErrDamaged},
	} {
		if _, err := Decode(tc.data); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", name, err, tc.want)
		}
	}
}

// What does not fit loses its oldest hops.
func TestAMemoryIsBounded(t *testing.T) {
	m := sample(40)
	random := uint64(1)
	for i := range m.Hops {
		for range 40_000 {
			random = random*6364136223846793005 + 1442695040888963407
			m.Hops[i].CPU = append(m.Hops[i].CPU, OfStack{1, int64(random >> 8)})
		}
	}
	data, err := m.Encode()
	if err != nil || len(data) > MaxBytes {
		t.Fatalf("%d bytes, error %v", len(data), err)
	}
	got, err := Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(got.Hops); n == 0 || n >= 40 || got.Hops[n-1].Start != m.Hops[39].Start {
		t.Errorf("%d hops are left", n)
	}
}

// FuzzDecodeUnpacked is FuzzDecode past the checksum.
func FuzzDecodeUnpacked(f *testing.F) {
	var plain bytes.Buffer
	if err := gob.NewEncoder(&plain).Encode(sample(3)); err != nil {
		f.Fatal(err)
	}
	f.Add(plain.Bytes())
	f.Fuzz(func(_ *testing.T, data []byte) {
		m, err := decode(data)
		if err != nil {
			return
		}
		r := frames.NewTable().Restore(&m.Saved)
		for h := range m.all() {
			h.Restore(r)
		}
	})
}

func FuzzDecode(f *testing.F) {
	data, err := sample(3).Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add(data[:len(data)/2])
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := Decode(data)
		if err != nil {
			return
		}
		r := frames.NewTable().Restore(&m.Saved)
		for h := range m.all() {
			h.Restore(r)
		}
		if _, err := m.Encode(); err != nil {
			t.Error(err)
		}
	})
}

func TestTheMachineOfAHopIsTheSame(t *testing.T) {
	want := hop.Machine{
		Seconds: 5, Figures: map[hop.Resource]float64{{Measure: 2, Name: "vda"}: 1e8, {Measure: 1}: 3},
		Users: map[hop.User]float64{{Of: 2, Name: "dd", PID: 7}: 5},
	}
	saved := saveMachine(&want)
	if got := saved.restore(); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v became %+v", want, got)
	}
	saved.Figures[0].Value = math.NaN()
	if saved.check() == nil {
		t.Error("what is no number is taken")
	}
}
