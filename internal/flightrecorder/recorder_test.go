package flightrecorder

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// texts reads a file as the file exporter's are read.
func texts(t *testing.T, r *Recorder, service string) (list []string) {
	t.Helper()
	rec := r.Of(service)
	if rec == nil {
		return nil
	}
	var file bytes.Buffer
	if n, err := rec.WriteTo(&file); err != nil || n != rec.Bytes || int(n) != file.Len() {
		t.Fatalf("%d bytes are written, %d are told: %v", n, rec.Bytes, err)
	}
	d, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for file.Len() > 0 {
		data := file.Next(int(binary.BigEndian.Uint32(file.Next(4))))
		plain, err := d.DecodeAll(data, nil)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, string(plain))
	}
	return list
}

func recorder(t testing.TB, most int64) *Recorder {
	t.Helper()
	r, err := New(most)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestTheLastMessagesAreKept(t *testing.T) {
	r := recorder(t, 1<<20)
	for i := range 3 {
		r.Add("a", int64(i+1)*1e9, fmt.Append(nil, "message ", i))
	}
	if got := fmt.Sprint(texts(t, r, "a")); got != "[message 0 message 1 message 2]" {
		t.Error(got)
	}
	if rec := r.Of("a"); rec.From.Unix() != 1 || rec.To.Unix() != 3 {
		t.Errorf("from %s to %s", rec.From, rec.To)
	}
	if r.Of("b") != nil {
		t.Error("there is a recording of nothing")
	}
	if r.Forget("a"); r.Of("a") != nil || r.Bytes() != 0 {
		t.Errorf("%d bytes are left of what was forgotten", r.Bytes())
	}
}

// TestTheBoundHolds with services of all sizes: who takes most makes the room.
func TestTheBoundHolds(t *testing.T) {
	const most = 256 << 10
	r := recorder(t, most)
	rng := rand.New(rand.NewPCG(1, 2))
	noise := func(n int) []byte {
		data := make([]byte, n)
		for i := range data {
			data[i] = byte(rng.Uint32())
		}
		return data
	}
	r.Add("quiet", 1, noise(8<<10))
	for i := range 2000 {
		r.Add(fmt.Sprint("busy", i%3), int64(i), noise(1+rng.IntN(40<<10)))
		held := int64(0)
		for _, s := range r.tapes {
			held += s.bytes
		}
		if held > most || held != r.Bytes() {
			t.Fatalf("%d bytes are held, %d are told", held, r.Bytes())
		}
	}
	if r.Of("quiet") == nil {
		t.Error("a service that takes little has lost it to those that take much")
	}
	r.Add("huge", 1, noise(2*most))
	if r.Bytes() > most || r.Of("huge") != nil {
		t.Errorf("%d bytes are held after a message beyond the bound", r.Bytes())
	}
}

// TestWhatLedToIsHeld while it lasts.
func TestWhatLedToIsHeld(t *testing.T) {
	r := recorder(t, 4<<10)
	r.Add("a", 1, []byte("before"))
	r.Hold("a", 5)
	r.Add("a", 5, []byte("begins"))
	for i := range int64(1000) {
		r.Add("a", 6+i, []byte("goes on"))
	}
	if got := fmt.Sprint(texts(t, r, "a")); got != "[before begins]" {
		t.Error(got)
	}
	r.Resume("a")
	r.Add("a", 2000, []byte("over"))
	if got := fmt.Sprint(texts(t, r, "a")); got != "[before begins over]" {
		t.Error(got)
	}
}

// TestARecordingStaysAsItWas when more comes.
func TestARecordingStaysAsItWas(t *testing.T) {
	r := recorder(t, 1<<10)
	r.Add("a", 1, []byte("first"))
	rec := r.Of("a")
	for i := range int64(100) {
		r.Add("a", 2+i, []byte("another"))
	}
	var file bytes.Buffer
	if n, err := rec.WriteTo(&file); err != nil || n != rec.Bytes {
		t.Errorf("%d bytes of %d: %v", n, rec.Bytes, err)
	}
}
