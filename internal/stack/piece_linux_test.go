//go:build linux

package stack

import (
	"bytes"
	"debug/elf"
	"errors"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
)

// TestPiece reads at and beyond the edges of a part of a file.
func TestPiece(t *testing.T) {
	long := strings.Repeat("n", 3000)
	file := []byte("before" + "\x01\x02\x03\x04" + "name\x00" + long + "\x00" + "open")
	p := piece{bytes.NewReader(file), 6, uint64(len(file) - 6)}
	for _, tc := range []struct {
		name      string
		got, want string
	}{
		{"a name", p.text(4), "name"},
		{"a long one", p.text(9), long},
		{"the rest of one", p.text(9 + 2990), long[2990:]},
		{"one that does not end", p.text(uint32(p.size) - 4), "open"},
		{"beyond the end", p.text(uint32(p.size)), ""},
		{"at the end of a part", p.from(4).text(0), "name"},
		{"beyond a part", p.from(math.MaxUint64).text(0), ""},
		{"too long a one", (&piece{bytes.NewReader(bytes.Repeat([]byte{'x'}, 9000)), 0, 9000}).text(0), strings.Repeat("x", maxSymbolName)},
		{"of no file", piece{size: 8}.text(0), ""},
		{"of a file that is cut short", string(piece{bytes.NewReader(file), 6, 1 << 40}.read(p.size-2, 8)), "en"},
		{"a lie about where it is", string(piece{bytes.NewReader(file), math.MaxUint64 - 4, 8}.read(0, 8)), ""},
	} {
		if tc.got != tc.want {
			t.Errorf("%s: %.40q, not %.40q", tc.name, tc.got, tc.want)
		}
	}
	if v, ok := p.u32(0); !ok || v != 0x04030201 {
		t.Errorf("%#x, %v", v, ok)
	}
	if v, ok := p.u32(p.size - 3); ok {
		t.Errorf("three bytes are a number: %#x", v)
	}
}

// TestGoTableIsReadInPieces compares what the table in a file says with what the same
// table says that is held in memory, as packed ones are.
func TestGoTableIsReadInPieces(t *testing.T) {
	r := openSelf(t)
	f, err := elf.NewFile(r)
	if err != nil {
		t.Fatal(err)
	}
	table := loadGoTable(allowed(t), r, f, hostArchitecture())
	data := sectionData(allowed(t), goSection(f), maxSection)
	if table == nil || data == nil {
		t.Fatal("this program has no table")
	}
	held := parseGoTable(allowed(t), piece{bytes.NewReader(data), 0, uint64(len(data))})
	held.text, held.inline = table.text, table.inline
	closed := table.in(nil)
	if got, most := closed.bytes(), int64(len(data))/8; got > most {
		t.Errorf("%d bytes are held of %d", got, len(data))
	}
	large := 0
	for i := 0; i < table.nfunc; i += 1 + table.nfunc/3000 {
		fn, ok := closed.in(r).function(i)
		other, also := held.function(i)
		if ok != also || fn.name != other.name || fn.entry != other.entry {
			t.Fatalf("%d: %+v, and in memory %+v", i, fn, other)
		}
		last := fn.end - 1 // what comes after 1 KiB of a table is there, too
		size, known := table.frameSize(&fn, last)
		if also, knows := held.frameSize(&other, last); size != also || known != knows {
			t.Errorf("%s: %d, and in memory %d", fn.name, size, also)
		}
		if fn.end-fn.entry > 4096 {
			large++
		}
		file, line := table.line(&fn, last)
		if also, at := held.line(&other, last); file != also || line != at {
			t.Errorf("%s: %s:%d, and in memory %s:%d", fn.name, file, line, also, at)
		}
	}
	if found := table.named(allowed(t), "runtime.main"); found.end <= found.start {
		t.Error("runtime.main is not found by its name")
	}
	if large == 0 {
		t.Error("no function is large")
	}
}

// TestGoSiteOfAFileThatCannotBeRead: what a hanging file system does not give is no table
// that says nothing, which would be remembered.
func TestGoSiteOfAFileThatCannotBeRead(t *testing.T) {
	r := openSelf(t)
	f, err := elf.NewFile(r)
	if err != nil {
		t.Fatal(err)
	}
	table := loadGoTable(allowed(t), r, f, hostArchitecture())
	if table == nil {
		t.Fatal("this program has no table")
	}
	addr := table.entry(table.nfunc / 2)
	whole, err := goSite(table, r, "self", addr)
	if err != nil || whole.kind == stepPointer || whole.start != addr {
		t.Fatalf("%+v, %v", whole, err)
	}
	broken := errors.New("it hangs")
	for reads := range 64 {
		s, err := goSite(table, &readsUntil{r, reads, broken}, "self", addr)
		if err == nil && reads > 0 {
			return // so many reads are enough
		}
		if !errors.Is(err, broken) || s != nil {
			t.Fatalf("after %d reads: %+v, %v", reads, s, err)
		}
	}
	t.Error("it takes more than 64 reads")
}

// readsUntil fails after so many reads.
type readsUntil struct {
	io.ReaderAt
	left int
	err  error
}

func (r *readsUntil) ReadAt(b []byte, off int64) (int, error) {
	if r.left--; r.left < 0 {
		return 0, r.err
	}
	return r.ReaderAt.ReadAt(b, off)
}

// TestBlocksServeTheWholeFunction: once an address of a function was read, others of it
// need no file.
func TestBlocksServeTheWholeFunction(t *testing.T) {
	r := openSelf(t)
	f, err := elf.NewFile(r)
	if err != nil {
		t.Fatal(err)
	}
	table := loadGoTable(allowed(t), r, f, hostArchitecture()).in(nil)
	small, served := 0, 0
	for i := 0; i < table.nfunc && small < 200; i += 1 + table.nfunc/500 {
		start, end := table.entry(i), table.entry(i+1)
		if end-start < 16 || end-start > 1024 {
			continue
		}
		small++
		if s, err := goSite(table, &blockReader{}, "self", start); s != nil || !errors.Is(err, errNotHeld) {
			t.Fatalf("nothing is held: %+v, %v", s, err)
		}
		b := blockReader{r: r}
		first, err := goSite(table, &b, "self", start)
		direct, other := goSite(table, r, "self", start)
		if err != nil || other != nil || !slices.Equal(first.frames, direct.frames) || first.size != direct.size {
			t.Fatalf("%+v, %v, and read at once %+v, %v", first, err, direct, other)
		}
		if s, err := goSite(table, &blockReader{held: blocks(nil).with(b.read)}, "self", end-1); err == nil && s.start == start {
			served++
		}
	}
	if served < small*8/10 {
		t.Errorf("of %d functions %d have all of their addresses known at once", small, served)
	}
	all := blocks{}
	for i := range int64(3 * maxBlocks) {
		all = all.with(blocks{i: nil})
		if _, newest := all[i]; !newest || len(all) != int(min(i+1, maxBlocks)) {
			t.Fatalf("%d blocks are kept after %d, the newest among them: %v", len(all), i+1, newest)
		}
	}
}
