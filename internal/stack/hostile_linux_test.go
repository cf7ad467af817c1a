//go:build linux

package stack

import (
	"bytes"
	"compress/zlib"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"
)

// The programs here hurt: each is small and asks for much. The bounds are in
// bytes, steps and entries, whatever the machine.

// sec is a section of a file that buildELF makes.
type sec struct {
	name  string
	typ   uint32
	flags uint64
	addr  uint64
	data  []byte
	link  uint32
	size  uint64 // override
	z     bool   // compress
	ent   uint64
	align uint64
}

// buildELF makes a program of sections, compressed where z is set.
func buildELF(secs []sec) []byte {
	var out bytes.Buffer
	out.Write(make([]byte, 64+56*1))
	shstr := []byte{0}
	type h struct {
		name, typ              uint32
		flags, addr, off, size uint64
		link, info             uint32
		align, ent             uint64
	}
	hs := []h{{}}
	secs = append(secs, sec{name: ".shstrtab", typ: 3})
	for i := range secs {
		s := &secs[i]
		n := uint32(len(shstr))
		shstr = append(append(shstr, s.name...), 0)
		if s.name == ".shstrtab" {
			s.data = shstr
		}
		data := s.data
		if s.z {
			var zb bytes.Buffer
			hd := make([]byte, 24)
			binary.LittleEndian.PutUint32(hd, 1)
			binary.LittleEndian.PutUint64(hd[8:], uint64(len(s.data)))
			binary.LittleEndian.PutUint64(hd[16:], 1)
			zb.Write(hd)
			w, _ := zlib.NewWriterLevel(&zb, 1)
			_, _ = w.Write(s.data)
			_ = w.Close()
			data = zb.Bytes()
			s.flags |= uint64(elf.SHF_COMPRESSED)
		}
		for out.Len()%16 != 0 {
			out.WriteByte(0)
		}
		sz := uint64(len(data))
		if s.size != 0 {
			sz = s.size
		}
		hs = append(hs, h{n, s.typ, s.flags, s.addr, uint64(out.Len()), sz, s.link, 0, s.align, s.ent})
		out.Write(data)
	}
	for out.Len()%16 != 0 {
		out.WriteByte(0)
	}
	shoff := out.Len()
	for _, x := range hs {
		_ = binary.Write(&out, binary.LittleEndian, x)
	}
	b := out.Bytes()
	copy(b, "\x7fELF\x02\x01\x01")
	binary.LittleEndian.PutUint16(b[16:], 3)
	binary.LittleEndian.PutUint16(b[18:], 62)
	binary.LittleEndian.PutUint32(b[20:], 1)
	binary.LittleEndian.PutUint64(b[24:], 0x1000)
	binary.LittleEndian.PutUint64(b[32:], 64)
	binary.LittleEndian.PutUint64(b[40:], uint64(shoff))
	binary.LittleEndian.PutUint16(b[52:], 64)
	binary.LittleEndian.PutUint16(b[54:], 56)
	binary.LittleEndian.PutUint16(b[56:], 1)
	binary.LittleEndian.PutUint16(b[58:], 64)
	binary.LittleEndian.PutUint16(b[60:], uint16(len(hs)))
	binary.LittleEndian.PutUint16(b[62:], uint16(len(hs)-1))
	ph := b[64:]
	binary.LittleEndian.PutUint32(ph, 1)      // PT_LOAD
	binary.LittleEndian.PutUint32(ph[4:], 5)  // RX
	binary.LittleEndian.PutUint64(ph[8:], 0)  // off
	binary.LittleEndian.PutUint64(ph[16:], 0) // vaddr
	binary.LittleEndian.PutUint64(ph[32:], 0x4000)
	binary.LittleEndian.PutUint64(ph[40:], 1<<20)
	return b
}

func symtab(n int, same bool, names int) ([]byte, []byte) {
	st := bytes.Repeat([]byte{'A'}, names)
	st[0] = 0
	st[names-1] = 0
	d := make([]byte, 24*n)
	for i := 0; i < n; i++ {
		e := d[i*24:]
		binary.LittleEndian.PutUint32(e, 1) // name
		if !same {
			binary.LittleEndian.PutUint32(e, uint32(1+i%(names-2)))
		}
		e[4] = 0x12
		binary.LittleEndian.PutUint16(e[6:], 1)
		a := uint64(0x1000)
		if !same {
			a += uint64(n-i) * 16
		}
		binary.LittleEndian.PutUint64(e[8:], a)
		binary.LittleEndian.PutUint64(e[16:], 16)
	}
	return d, st
}

// maxHostileSteps bounds the steps in which a module is read: a few for each symbol
// and each byte of its tables.
const maxHostileSteps = 256 << 20

// allowed is an allowance for the test, which stays on one thread: another
// thread's CPU clock may be seconds ahead.
func allowed(t *testing.T) *allowance {
	runtime.LockOSThread()
	t.Cleanup(runtime.UnlockOSThread)
	return newAllowance(threadTime)
}

// loadHostile reads a file as an Unwinder does and checks what that cost.
func loadHostile(t *testing.T, b []byte) (*image, error) {
	t.Helper()
	if raced {
		t.Skip("one thread reads, and the detector takes half a minute: `make test` runs it without")
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	// Its clock stands still, and counts how often it is looked at.
	looks := 0
	a := newAllowance(func() time.Duration { looks++; return 0 })
	img, err := loadImage(bytes.NewReader(b), imageOptions{arch: &amd64, allow: a, count: true})
	runtime.GC()
	runtime.ReadMemStats(&after)
	if steps := looks * checkEvery; steps > maxHostileSteps {
		t.Errorf("it took %d million steps", steps>>20)
	}
	if img != nil && img.size > maxImageBytes {
		t.Errorf("%d MiB are held", img.size>>20)
	}
	if held := int64(after.HeapAlloc) - int64(before.HeapAlloc); held > maxImageBytes+8<<20 {
		t.Errorf("%d MiB are really held", held>>20)
	}
	if a.left < 0 {
		t.Errorf("%d bytes beyond the allowance", -a.left)
	}
	runtime.KeepAlive(img)
	return img, err
}

func TestHostileSymbols(t *testing.T) {
	for _, n := range []int{10_000, 400_000, 4 << 20} {
		if raced && n > 1<<20 {
			continue // half a minute with the race detector
		}
		data, names := symtab(n, true, 8192)
		img, err := loadHostile(t, buildELF([]sec{
			{name: ".symtab", typ: 2, data: data, link: 2, z: true, ent: 24}, {name: ".strtab", typ: 3, data: names},
		}))
		if err != nil || len(img.symbols) > 0 && len(img.symbols[0].symbols) != 1 {
			t.Errorf("%d symbols at one address: %v", n, err)
		}
	}
}

func TestHostileSections(t *testing.T) {
	data, _ := symtab(4<<20, false, 128<<20)
	names := bytes.Repeat([]byte{'A'}, 128<<20)
	names[0] = 0
	img, err := loadHostile(t, buildELF([]sec{
		{name: ".symtab", typ: 2, data: data, link: 2, z: true, ent: 24}, {name: ".strtab", typ: 3, data: names, z: true},
		{name: ".dynsym", typ: 11, data: data, link: 4, z: true, ent: 24}, {name: ".dynstr", typ: 3, data: names[:60<<20], z: true},
		{name: ".eh_frame", typ: 1, data: names, z: true}, {name: ".gopclntab", typ: 1, data: names, z: true},
	}))
	if err != nil || img.short == nil {
		t.Errorf("%v, and nothing was left out", err)
	}
}

// TestHostileSectionNames: debug/elf makes a string of each section's name.
func TestHostileSectionNames(t *testing.T) {
	secs := make([]sec, 3000)
	for i := range secs {
		secs[i] = sec{name: "x", typ: 1}
	}
	secs[0].name = strings.Repeat("n", 1<<20)
	_, err := loadHostile(t, buildELF(secs))
	if err == nil || !strings.Contains(err.Error(), "names of its") {
		t.Errorf("got %v", err)
	}
	_, err = loadHostile(t, buildELF(make([]sec, maxSections)))
	if err == nil || !strings.Contains(err.Error(), "sections") {
		t.Errorf("got %v", err)
	}
}

// a CIE and one FDE with a 100 MiB program, all nops
func ehframe(prog int, sizeOfFn uint32) []byte {
	var b bytes.Buffer
	cie := []byte{0, 0, 0, 0, 1, 'z', 'R', 0, 1, 0x78, 16, 1, 0x00, 0x0c, 7, 8, 0x90, 1, 0, 0}
	_ = binary.Write(&b, binary.LittleEndian, uint32(len(cie)))
	b.Write(cie)
	fdeLen := 4 + 8 + 8 + 1 + prog
	_ = binary.Write(&b, binary.LittleEndian, uint32(fdeLen))
	_ = binary.Write(&b, binary.LittleEndian, uint32(b.Len()))
	_ = binary.Write(&b, binary.LittleEndian, uint64(0x1000))
	_ = binary.Write(&b, binary.LittleEndian, uint64(sizeOfFn))
	b.WriteByte(0)
	b.Write(make([]byte, prog))
	b.Write([]byte{0, 0, 0, 0})
	return b.Bytes()
}

func TestHostileFrames(t *testing.T) {
	img, err := loadHostile(t, buildELF([]sec{{name: ".eh_frame", typ: 1, data: ehframe(40<<20, 1<<20), z: true}}))
	if err != nil || img.frames == nil {
		t.Fatal("no frames", err)
	}
	const addresses = 100
	mod := &module{name: "x", img: img}
	for i := range uint64(addresses) {
		if s := learn(mod, nil, 0x2000+i*16); s.kind == stepCFI {
			t.Fatal("a row of forty million instructions was believed")
		}
	}
	// Each bad row costs maxInstructions: so many, and the table is not believed.
	if img.badRows != maxBadRows+1 || img.frames != nil {
		t.Errorf("%d rows of it were read, %d at most", img.badRows, maxBadRows+1)
	}
	// CIEs are few: each is kept.
	var b bytes.Buffer
	for range 2 << 20 {
		_ = binary.Write(&b, binary.LittleEndian, uint32(12))
		b.Write([]byte{0, 0, 0, 0, 1, 0, 1, 0x78, 16, 0, 0, 0})
	}
	table, _ := parseFrames(allowed(t), b.Bytes(), 0)
	if table != nil && len(table.commons) > maxCommons {
		t.Errorf("%d CIEs are kept", len(table.commons))
	}
}

func TestHostileGoTable(t *testing.T) {
	// A table of values whose address does not move on for one value too many.
	n := uint64(4)
	data := make([]byte, 40<<20)
	binary.LittleEndian.PutUint32(data, goMagic120)
	data[6], data[7] = 1, 8
	w := func(i int, v uint64) { binary.LittleEndian.PutUint64(data[8+8*i:], v) }
	w(0, n)
	w(2, 0x1000)
	const functab = 4096
	w(3, 200)
	data[200], data[201] = 'f', 0
	w(4, 300)
	w(5, 400)
	w(6, 8192) // pctab
	w(7, functab)
	for i := uint64(0); i <= n; i++ {
		binary.LittleEndian.PutUint32(data[functab+i*8:], uint32(i*0x1000))
		binary.LittleEndian.PutUint32(data[functab+i*8+4:], 256) // _func at functab+256
	}
	fn := data[functab+256:]
	binary.LittleEndian.PutUint32(fn[4:], 0)  // name
	binary.LittleEndian.PutUint32(fn[16:], 1) // pcsp
	for i := range maxGoValues {
		data[8193+2*i], data[8194+2*i] = 2, 0
	}
	copy(data[8193+2*maxGoValues:], []byte{2, 0x80, 0x20})
	img, err := loadHostile(t, buildELF([]sec{
		{name: ".gopclntab", typ: 1, addr: 0x100000, data: data, z: true},
		{name: ".text", typ: 1, flags: 6, addr: 0x1000, data: make([]byte, 64), size: 64},
	}))
	if err != nil || img.goTable == nil {
		t.Fatal("no table", err)
	}
	mod := &module{name: "x", img: img}
	for i := range uint64(100) {
		if s := learn(mod, nil, 0x2000+i*16); s != nil && s.kind == stepGo {
			t.Fatal("a frame size came out of it")
		}
	}
}

// TestHostileXZ: the second block has a dictionary of 4 GiB.
func TestHostileXZ(t *testing.T) {
	packed, err := os.ReadFile("testdata/hostile/two-dictionaries.xz")
	if err != nil {
		t.Fatal(err)
	}
	a := allowed(t)
	if got := unpackXZ(a, packed); len(got) != 2004 {
		t.Errorf("the first block has %d bytes", len(got))
	}
	if _, err := loadHostile(t, buildELF([]sec{{name: ".gnu_debugdata", typ: 1, data: packed}})); err != nil {
		t.Error(err)
	}
	for bits, want := range map[uint8]uint64{0: 4096, 22: 8 << 20, 24: 16 << 20, 40: 4 << 30, 255: 1 << 62} {
		if got := dictionarySize(bits); got != want {
			t.Errorf("%d means %d, not %d", bits, got, want)
		}
	}
}

// counting counts the bytes read.
type counting struct {
	io.ReaderAt
	bytes int
}

func (c *counting) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.ReaderAt.ReadAt(p, off)
	c.bytes += n
	return n, err
}

// shortEntries is a perf map of that many of the shortest entries.
func shortEntries(n int) []byte {
	var b bytes.Buffer
	for i := 1; i <= n; i++ {
		fmt.Fprintf(&b, "%x 1 a\n", i)
	}
	return b.Bytes()
}

func TestHostilePerfMapOfManyEntries(t *testing.T) {
	data := shortEntries(6_200_000)
	r := &counting{ReaderAt: bytes.NewReader(data)}
	var m perfMap
	looks := 0
	for ; m.full == nil && looks < 100; looks++ {
		r.bytes = 0
		_ = m.update(r, int64(len(data)))
		if r.bytes > perfMapStep+perfMapTail {
			t.Fatalf("one look reads %d bytes", r.bytes)
		}
	}
	if m.now.len() > maxPerfEntries || m.bytes() > maxPerfBytes || m.full == nil {
		t.Errorf("%d entries, %d MiB, full %v", m.now.len(), m.bytes()>>20, m.full)
	}
	r.bytes = 0
	if err := m.update(r, int64(len(data))); err == nil || r.bytes > perfMapTail {
		t.Errorf("it is read again, %d bytes, %v", r.bytes, err)
	}
}

func TestHostilePerfMapThatGrows(t *testing.T) {
	data := shortEntries(300_000)
	var m perfMap
	for m.read < int64(len(data)) {
		if err := m.update(bytes.NewReader(data), int64(len(data))); err != nil {
			t.Fatal(err)
		}
	}
	const lines = 1000
	size := len(data)
	for i := range lines {
		data = fmt.Appendf(data, "%x 1 b\n", 4_000_000+i)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range lines {
		size += bytes.IndexByte(data[size:], '\n') + 1
		r := &counting{ReaderAt: bytes.NewReader(data)}
		if err := m.update(r, int64(size)); err != nil || r.bytes > 1024 {
			t.Fatalf("one line more: %d bytes are read, %v", r.bytes, err)
		}
	}
	runtime.ReadMemStats(&after)
	// A table that is made anew for each line would be 300,000 entries each time.
	if allocated := after.TotalAlloc - before.TotalAlloc; allocated > lines*(8<<10) {
		t.Errorf("%d lines allocate %d KiB", lines, allocated>>10)
	}
	if m.now.len() != 300_000+lines {
		t.Errorf("%d entries", m.now.len())
	}
}

func TestHostilePerfMapOfAHole(t *testing.T) {
	f, err := os.Create(t.TempDir() + "/perf.map")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if err := f.Truncate(2 << 30); err != nil {
		t.Fatal(err)
	}
	r := &counting{ReaderAt: f}
	var m perfMap
	for range 100 {
		_ = m.update(r, 2<<30)
	}
	if r.bytes > maxPerfMap+200*perfMapTail || m.full == nil {
		t.Errorf("%d MiB are read, full %v", r.bytes>>20, m.full)
	}
	// A line that is too long is no entry, the next one is.
	text := "1000 100 " + strings.Repeat("L", 1<<20) + "\n2000 100 next\n"
	m = perfMap{}
	for range 3 {
		_ = m.update(strings.NewReader(text[:len(text)/2]), int64(len(text)/2))
	}
	_ = m.update(strings.NewReader(text), int64(len(text)))
	if name, _ := m.find(0x2000); name != "next" || m.now.len() != 1 {
		t.Errorf("%q, %d entries", name, m.now.len())
	}
}

// TestHostileMaps has mappings with paths of almost 4096 bytes.
func TestHostileMaps(t *testing.T) {
	var same, each bytes.Buffer
	for i := range 40_000 {
		line := func(name string) string {
			return fmt.Sprintf("%x-%x r-xp %x fd:01 12 /%s%s\n", i*8192, i*8192+4096, i*8192, strings.Repeat("d", 4000), name)
		}
		same.WriteString(line("lib.so"))
		each.WriteString(line(fmt.Sprint(i)))
	}
	for name, text := range map[string][]byte{"one path": same.Bytes(), "a path each": each.Bytes()} {
		maps := parseMaps(text)
		distinct, size := map[string]bool{}, 0
		for i := range maps {
			if !distinct[maps[i].path] {
				distinct[maps[i].path] = true
				size += len(maps[i].path)
			}
			if maps[i].path == "" && maps[i].isFile() {
				t.Fatal("a mapping without its path is a file's")
			}
		}
		if len(maps) > maxMappings || size > maxPathBytes {
			t.Errorf("%s: %d mappings, %d bytes of paths", name, len(maps), size)
		}
	}
	// All processes together.
	u := NewUnwinder(Options{})
	maps := parseMaps(each.Bytes())
	for pid := range int32(100) {
		p := &process{pid: pid + 1, used: uint64(pid), perf: &perfMap{}}
		u.add(p)
		u.setMaps(p, maps)
	}
	s := u.Stats()
	if s.MapBytes > u.opts.MaxMapBytes || s.ProcessEvictions == 0 || s.Processes == 0 {
		t.Errorf("%+v", s)
	}
	for pid := range int32(101) {
		u.Forget(pid)
	}
	if s := u.Stats(); s.MapBytes != 0 {
		t.Errorf("%d bytes of no process", s.MapBytes)
	}
}

// TestHostileNames has mangled names that grow when they are taken apart.
func TestHostileNames(t *testing.T) {
	for _, name := range []string{
		"_Z" + strings.Repeat("P", 4000) + "i",
		"_Z1fI" + strings.Repeat("S_", 1000) + "E",
		"_ZN" + strings.Repeat("1aI", 1000) + strings.Repeat("E", 1000),
		"_Z1f" + strings.Repeat("PF", 1000) + "v" + strings.Repeat("vE", 1000),
		"_R" + strings.Repeat("I", 2000) + "NvC1a1b",
		"_RNv" + strings.Repeat("B_", 1500),
		"_Z1fIJ" + strings.Repeat("J", 3000),
		"_ZN1a" + strings.Repeat("B1b", 1200) + "E",
	} {
		if out := displayName(name); len(out) > 512 {
			t.Errorf("%.12s: %d bytes", name, len(out))
		}
	}
}

// TestHostileProcessIsLeftAlone: who costs too much is, for a while, and others
// are not.
func TestHostileProcessIsLeftAlone(t *testing.T) {
	now, cpu := time.Unix(1000, 0), time.Duration(0)
	var told []Quarantine
	u := NewUnwinder(Options{Now: func() time.Time { return now }, Quarantine: func(q Quarantine) { told = append(told, q) }})
	dear := int32(os.Getppid())
	u.cpu = func() time.Duration { cpu += time.Second / 2; return cpu }
	left := func(pid int32) bool {
		_, err := u.Unwind(pid, Registers{IP: 0x10, SP: 0x1000}, Copy{})
		return err != nil && strings.Contains(err.Error(), ErrOverBudget.Error())
	}
	n := 0
	for ; n < 100 && !left(dear); n++ {
		now = now.Add(10 * time.Millisecond)
	}
	if n < 5 || n > 20 || len(told) != 1 || told[0].Kind != "process" || told[0].PID != dear || told[0].For != firstPenalty {
		t.Fatalf("after %d stacks: %+v", n, told)
	}
	if u.cpu = func() time.Duration { return 0 }; left(int32(os.Getpid())) {
		t.Error("another is, too")
	}
	now = now.Add(firstPenalty + time.Second)
	if left(dear) {
		t.Error("it is for longer than was said")
	}
}

// TestHostileReaderHoldsUpNobody: while what one process needs is read, others'
// stacks are unwound.
func TestHostileReaderHoldsUpNobody(t *testing.T) {
	u := NewUnwinder(Options{})
	self, slow := int32(os.Getpid()), int32(os.Getppid())
	regs := Registers{IP: uint64(reflect.ValueOf(NewUnwinder).Pointer()) + 4, SP: 0x1000}
	if _, err := u.Unwind(self, regs, Copy{}); err != nil {
		t.Fatal(err)
	}
	readable, let, reads := u.readMaps, make(chan struct{}), make(chan struct{})
	u.readMaps = func(pid int32) ([]byte, error) {
		if pid == slow {
			close(reads)
			<-let
		}
		return readable(pid)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = u.Unwind(slow, Registers{IP: 0x10, SP: 0x1000}, Copy{})
	}()
	<-reads
	if _, err := u.Try(self, regs, Copy{}); err != nil {
		t.Error(err)
	}
	if _, err := u.Try(slow, Registers{IP: 0x10, SP: 0x1000}, Copy{}); err != ErrWork { //nolint:errorlint // itself
		t.Errorf("got %v", err)
	}
	close(let)
	<-ended
}
