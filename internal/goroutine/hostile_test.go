package goroutine

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
)

// fakeMemory is what a target says at addresses; all other bytes are there, too,
// and are drawn from a seed.
type fakeMemory struct {
	words  map[uint64]uint64
	seed   uint64
	holes  bool // a part of it is not there
	bytes  int
	pieces int
}

func (m *fakeMemory) Read(ranges []Range) ([][]byte, error) {
	out := make([][]byte, len(ranges))
	for i, r := range ranges {
		m.bytes += r.Size
		m.pieces++
		random := rand.New(rand.NewPCG(m.seed, r.Addr))
		if m.holes && random.IntN(3) == 0 {
			continue
		}
		out[i] = make([]byte, r.Size)
		for j := 0; j+8 <= r.Size; j += 8 {
			v, ok := m.words[r.Addr+uint64(j)]
			if !ok {
				v = random.Uint64() >> (random.UintN(8) * 8)
			}
			binary.LittleEndian.PutUint64(out[i][j:], v)
		}
	}
	return out, nil
}

// code of amd64 that refers to addresses.
func code(at uint64, addrs ...uint64) []byte {
	var out []byte
	for _, addr := range addrs {
		out = append(out, 0x48, 0x8b, 0x05)
		out = binary.LittleEndian.AppendUint32(out, uint32(addr-at-uint64(len(out))-4))
	}
	return out
}

const (
	codeAt                       = 0x400000
	sliceAt, pointerAt, lengthAt = 0x800000, 0x810000, 0x820000
	arrayAt, firstAt             = 0xc000000000, 0xc000100000
)

// healthy is a program with so many goroutines that wait, by layout.
func healthy(l layout, n int) map[uint64]uint64 {
	words := map[uint64]uint64{
		sliceAt: arrayAt, sliceAt + 8: uint64(n), sliceAt + 16: uint64(2 * n), pointerAt: arrayAt, lengthAt: uint64(n),
	}
	for i := range uint64(n) {
		g := firstAt + i*1024
		stack := 0xc100000000 + i*8192
		words[arrayAt+8*i] = g
		for off := 0; off < l.size; off += 8 {
			words[g+uint64(off)] = 0
		}
		words[g], words[g+8] = stack, stack+4096
		words[g+uint64(l.sp)], words[g+uint64(l.pc)], words[g+uint64(l.self)] = stack+4000, 0x401000, g
		words[g+uint64(l.status)], words[g+uint64(l.goid)] = statusWaiting, i+1
		words[g+uint64(l.creator)] = 0x402000 + i%3
	}
	return words
}

func TestLocateAndLook(t *testing.T) {
	l, _ := layoutOf("go1.26")
	mem := &fakeMemory{words: healthy(l, 20)}
	table, err := Locate(mem, "go1.26.1", "amd64", code(codeAt, 0x830000, sliceAt, pointerAt, lengthAt), codeAt)
	if err != nil {
		t.Fatal(err)
	}
	if table.first != pointerAt || table.length != lengthAt {
		t.Errorf("found at %#x and %#x", table.first, table.length)
	}
	look, err := table.Look(mem, rand.New(rand.NewPCG(1, 1)))
	if err != nil || len(look.Stacks) != 20 || look.Bad != 0 || len(look.Waiting) != 3 || look.Waiting[0x402000] != 7 {
		t.Errorf("%+v, %v", look, err)
	}
	// One that is of another layout contradicts itself.
	if _, err := Locate(mem, "go1.24.1", "amd64", code(codeAt, sliceAt, pointerAt, lengthAt), codeAt); err == nil {
		t.Error("another layout is believed")
	}
	if _, err := Locate(mem, "go1.26.1", "amd64", code(codeAt, sliceAt, lengthAt), codeAt); err == nil {
		t.Error("a slice without a pointer beside it is believed")
	}
}

func TestStratify(t *testing.T) {
	var many []Goroutine
	for i := range 1000 {
		many = append(many, Goroutine{ID: uint64(i), Creator: 1})
	}
	many = append(many, Goroutine{ID: 2000, Creator: 2})
	out := stratify(many)
	seen := map[uint64]bool{}
	for _, g := range out {
		seen[g.ID] = true
	}
	if len(out) != MaxStacks || len(seen) != MaxStacks || !seen[2000] {
		t.Errorf("%d of %d, the rare one is among them: %v", len(out), len(seen), seen[2000])
	}
}

func TestChoose(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	hits := make([]int, 50)
	const rounds = 5000
	for range rounds {
		seen := map[int]bool{}
		for _, i := range choose(50, 10, random) {
			seen[i] = true
			hits[i]++
		}
		if len(seen) != 10 {
			t.Fatalf("%d different ones of 10", len(seen))
		}
	}
	for i, n := range hits {
		if n < rounds/5*8/10 || n > rounds/5*12/10 {
			t.Errorf("%d is chosen %d times of %d", i, n, rounds)
		}
	}
}

// FuzzLook has a target that says anything.
func FuzzLook(f *testing.F) {
	f.Add(uint64(1), uint64(5), uint64(6), uint64(7), false, []byte("\x48\x8b\x05\x00\x00\x40\x00"))
	f.Add(uint64(2), uint64(1<<23), uint64(1<<24), uint64(8), true, code(codeAt, sliceAt, pointerAt, lengthAt))
	f.Fuzz(func(t *testing.T, seed, n, room, array uint64, holes bool, text []byte) {
		for _, arch := range []string{"amd64", "arm64"} {
			mem := &fakeMemory{seed: seed, holes: holes, words: map[uint64]uint64{
				sliceAt: array, sliceAt + 8: n, sliceAt + 16: room, pointerAt: array, lengthAt: n,
			}}
			table, err := Locate(mem, "go1.26", arch, append(code(codeAt, sliceAt, pointerAt, lengthAt), text...), codeAt)
			if err != nil {
				l, _ := layoutOf("go1.26")
				table = &Table{layout: l, first: pointerAt, length: lengthAt}
			}
			mem.bytes, mem.pieces = 0, 0
			look, err := table.Look(mem, rand.New(rand.NewPCG(seed, 1)))
			if mem.bytes > 1<<20 || mem.pieces > 2*MaxSlots+2*MaxStacks+2 {
				t.Errorf("a look takes %d bytes in %d pieces", mem.bytes, mem.pieces)
			}
			if err == nil && (len(look.Stacks) > MaxStacks || look.Read > MaxSlots) {
				t.Errorf("%d stacks of %d", len(look.Stacks), look.Read)
			}
			if err != nil {
				continue
			}
			for i := range look.Stacks {
				look.Stacks[i].SP += uint64(i % 2) // some have moved
			}
			mem.bytes, mem.pieces = 0, 0
			now, err := table.Again(mem, look.Stacks)
			if mem.bytes > 1<<20 || mem.pieces > 3*MaxStacks {
				t.Errorf("another look takes %d bytes in %d pieces", mem.bytes, mem.pieces)
			}
			if err == nil && len(now) != len(look.Stacks) {
				t.Errorf("%d of %d", len(now), len(look.Stacks))
			}
		}
	})
}
