package stack

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// maxPerfMap bounds what is read of one perf map in all (bytes).
	maxPerfMap = 64 << 20
	// maxPerfName bounds one name (bytes); longer ones are cut.
	maxPerfName = 512
	// perfMapInterval is how often a map is looked at for new entries, and
	// perfMapMissing how often while code is met that is not in it.
	perfMapInterval = time.Second
	perfMapMissing  = 100 * time.Millisecond
	// perfMapTail is how much of the end of what was read is kept, to tell a
	// map that grew from one that was written anew (bytes).
	perfMapTail = 256
)

// jitSymbol is one compiled function.
type jitSymbol struct {
	start, end uint64
	name       string
}

// perfMap is the table that JIT compilers write for profilers: lines of
// "START SIZE name", in hexadecimal, appended as functions are compiled. A
// later entry replaces older ones at its addresses, whose code is gone. V8 and
// CPython append; the JVM writes all of it anew whenever it is asked to (jcmd
// Compiler.perfmap), and is often met half way.
type perfMap struct {
	symbols []jitSymbol // sorted, no two overlap
	// previous are those of the map before it was written anew: they fill in
	// while the new one is incomplete, and for code that has just gone.
	previous []jitSymbol
	read     int64  // bytes consumed
	tail     []byte // the last of them
	looked   time.Time
	size     int64 // estimates the memory held
	// generation changes whenever symbols do.
	generation uint32
}

// find names the function at addr.
func (m *perfMap) find(addr uint64) (string, bool) {
	if name, ok := findJIT(m.symbols, addr); ok {
		return name, true
	}
	return findJIT(m.previous, addr)
}

func findJIT(symbols []jitSymbol, addr uint64) (string, bool) {
	i, _ := slices.BinarySearchFunc(symbols, addr, func(s jitSymbol, a uint64) int {
		if s.start <= a {
			return -1
		}
		return 1
	})
	if i == 0 || addr >= symbols[i-1].end {
		return "", false
	}
	return symbols[i-1].name, true
}

// update reads what was appended since the last time; a map that was written
// anew is read from its start.
func (m *perfMap) update(r io.ReaderAt, size int64) error {
	if size < m.read || !m.continues(r) {
		m.symbols, m.previous, m.read, m.tail = nil, m.symbols, 0, nil
	}
	if size == m.read {
		return nil
	}
	if size > maxPerfMap {
		if m.read >= maxPerfMap {
			return errors.New("perf map is larger than 64 MiB; later entries are not read")
		}
		size = maxPerfMap
	}
	data := make([]byte, size-m.read)
	n, err := r.ReadAt(data, m.read)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	data = data[:n]
	end := bytes.LastIndexByte(data, '\n') + 1 // the last line may be half written
	if end == 0 {
		return nil
	}
	m.read += int64(end)
	m.tail = append([]byte(nil), data[max(0, end-perfMapTail):end]...)
	m.merge(parsePerfMap(data[:end]))
	if !slices.Equal(m.symbols, m.previous) {
		m.generation++ // the same again would name everything as before
	}
	return nil
}

// continues reports whether what was read last is still there.
func (m *perfMap) continues(r io.ReaderAt) bool {
	now := make([]byte, len(m.tail))
	n, err := r.ReadAt(now, m.read-int64(len(m.tail)))
	return (err == nil || errors.Is(err, io.EOF)) && bytes.Equal(now[:n], m.tail)
}

// parsePerfMap reads lines; those it does not understand are skipped.
func parsePerfMap(text []byte) []jitSymbol {
	var out []jitSymbol
	for line := range bytes.Lines(text) {
		from, rest, ok := strings.Cut(string(bytes.TrimRight(line, "\r\n")), " ")
		length, name, ok2 := strings.Cut(rest, " ")
		if !ok || !ok2 || name == "" {
			continue
		}
		start, err := strconv.ParseUint(strings.TrimPrefix(from, "0x"), 16, 64)
		size, err2 := strconv.ParseUint(strings.TrimPrefix(length, "0x"), 16, 64)
		if err != nil || err2 != nil || size == 0 || start+size < start {
			continue
		}
		out = append(out, jitSymbol{start, start + size, printable(name)})
	}
	return out
}

// printable cuts a name from an untrusted source and drops control characters.
func printable(name string) string {
	if len(name) > maxPerfName {
		name = name[:maxPerfName]
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, strings.ToValidUTF8(name, "?"))
}

// merge lays newer entries over the older ones.
func (m *perfMap) merge(newer []jitSymbol) {
	type aged struct {
		jitSymbol
		age int // larger is newer
	}
	all := make([]aged, 0, len(m.symbols)+len(newer))
	for _, s := range m.symbols {
		all = append(all, aged{s, -1})
	}
	for i, s := range newer {
		all = append(all, aged{s, i})
	}
	slices.SortStableFunc(all, func(a, b aged) int { return cmp.Compare(a.start, b.start) })
	var out []aged
	for _, s := range all {
		drop := false
		for len(out) > 0 && out[len(out)-1].end > s.start {
			last := out[len(out)-1]
			if last.age > s.age {
				drop = true
				break
			}
			out = out[:len(out)-1]
		}
		if !drop {
			out = append(out, s)
		}
	}
	m.symbols = make([]jitSymbol, len(out))
	for i := range out {
		m.symbols[i] = out[i].jitSymbol
	}
	m.size = jitBytes(m.symbols) + jitBytes(m.previous)
}

func jitBytes(symbols []jitSymbol) int64 {
	n := int64(len(symbols)) * 32
	for i := range symbols {
		n += int64(len(symbols[i].name))
	}
	return n
}

// bytes estimates the memory held.
func (m *perfMap) bytes() int64 { return m.size }
