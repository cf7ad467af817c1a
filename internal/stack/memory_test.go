package stack

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
)

// TestCopyWithGaps compares what is read of copies with gaps with the stack
// they were taken of.
func TestCopyWithGaps(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 2000 {
		base := uint64(0x7fff00000000) + r.Uint64N(pageSize)
		whole := make([]byte, 64*pageSize-base%pageSize)
		for i := range whole {
			whole[i] = byte(r.Uint32()) | 1
		}
		c := Copy{Pages: 1 | r.Uint64()&r.Uint64()}
		there := make([]bool, len(whole))
		for page := range uint64(64) {
			from := max(page*pageSize, base%pageSize) - base%pageSize
			to := (page+1)*pageSize - base%pageSize
			if c.Pages>>page&1 == 0 {
				continue
			}
			c.Bytes = append(c.Bytes, whole[from:to]...)
			for i := from; i < to; i++ {
				there[i] = true
			}
		}
		cut := r.IntN(min(len(c.Bytes), pageSize)) // of the last page, or of the first
		c.Bytes = c.Bytes[:len(c.Bytes)-cut]
		for i := len(there) - 1; cut > 0; i-- {
			if there[i] {
				there[i] = false
				cut--
			}
		}
		m := c.at(base)
		for range 200 {
			off := r.IntN(len(whole) + 64)
			if r.IntN(2) == 0 { // where pages meet
				off = max(0, r.IntN(64)*pageSize-int(base%pageSize)-r.IntN(16))
			}
			known := off+8 <= len(whole)
			for i := off; known && i < off+8; i++ {
				known = there[i]
			}
			got, ok := m.word(base + uint64(off))
			switch {
			case ok != known:
				t.Fatalf("pages %#x of base %#x, offset %d: known %v, want %v", c.Pages, base, off, ok, known)
			case ok && got != binary.LittleEndian.Uint64(whole[off:]):
				t.Fatalf("pages %#x of base %#x, offset %d: another word", c.Pages, base, off)
			}
		}
		if _, ok := m.word(base - 8); ok {
			t.Fatal("below the stack pointer nothing is known")
		}
	}
}
