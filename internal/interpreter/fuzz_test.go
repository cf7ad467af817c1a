package interpreter

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/perfscope/perfscope/internal/cleantext"
)

// image is a memory that any address below its end leads into, so that chance finds
// structures in it that refer to each other.
type image struct {
	bytes []byte
	reads int
	read  int
}

var errHole = errors.New("a hole")

func (m *image) ReadMemory(p []byte, addr uint64) error {
	m.reads++
	m.read += len(p)
	if addr%97 == 13 {
		return errHole
	}
	for i := range p {
		p[i] = m.bytes[(addr+uint64(i))%uint64(len(m.bytes))] //nolint:gosec // an index
	}
	return nil
}

// readAll reads the frames of a process whose memory is an image, by every layout.
func readAll(t *testing.T, data []byte) {
	if len(data) == 0 {
		return
	}
	for minor := 8; minor <= 13; minor++ {
		mem := &image{bytes: data}
		l := &look{mem: mem, now: time.Unix(1700000000, 0)}
		y := &python{layout: pythonLayouts[minor], runtime: 1 << 20, codes: map[uint64]*pythonCode{}, known: map[int32][]uint64{}}
		if y.layout == nil {
			if y.layout = describedLayout(data); y.layout == nil {
				continue
			}
		}
		y.codeType = at(data, 0)                                                                      // a code object is found now and then
		thread := Thread{Inner: int32(at(data, 8)), SP: at(data, 16) % highest, Main: data[0]&1 == 0} //nolint:gosec // random
		calls, err := y.calls(l, thread)
		check(t, mem, calls)
		if err == nil {
			continue
		}
		// As if the thread had been found.
		calls, _ = y.walk(l, at(data, 24)%highest)
		check(t, mem, calls)
	}
}

func check(t *testing.T, mem *image, calls []Call) {
	t.Helper()
	if mem.reads > maxReads || mem.read > maxBytes {
		t.Fatalf("%d reads of %d bytes", mem.reads, mem.read)
	}
	frames := 0
	for _, c := range calls {
		frames += len(c.Frames)
		for _, f := range c.Frames {
			if len(f.Function) > cleantext.MaxFunction || !utf8.ValidString(f.Function) || len(f.File) > cleantext.MaxPath || !utf8.ValidString(f.File) || f.Line < 0 {
				t.Fatalf("%+v", f)
			}
		}
	}
	if frames > maxFrames {
		t.Fatalf("%d frames", frames)
	}
}

func FuzzLook(f *testing.F) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, size := range []int{1, 64, 4096, 1 << 16} {
		b := make([]byte, size)
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		f.Add(b)
	}
	// A list that goes in circles, and offsets that a process tells of itself.
	circle := make([]byte, 4096)
	for i := 0; i+8 <= len(circle); i += 8 {
		binary.LittleEndian.PutUint64(circle[i:], 1<<20)
	}
	f.Add(circle)
	described := append([]byte(debugCookie), make([]byte, 2*debugSize)...)
	binary.LittleEndian.PutUint64(described[8:], 0x030d00f0)
	for i := 2; i < debugSize/8; i++ {
		binary.LittleEndian.PutUint64(described[8*i:], uint64(i))
	}
	f.Add(described)
	f.Fuzz(func(t *testing.T, data []byte) { readAll(t, data) })
}

func FuzzLines(f *testing.F) {
	f.Add([]byte{0x80, 0, 0xf8, 0xff}, int64(2))
	f.Fuzz(func(t *testing.T, lines []byte, offset int64) {
		c := &pythonCode{first: 1, lines: lines}
		for minor := 8; minor <= 13; minor++ {
			if line := c.line(minor, offset); line < 0 {
				t.Fatal(line)
			}
		}
	})
}
