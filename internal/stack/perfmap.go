package stack

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/btree"

	"github.com/perfscope/perfscope/internal/cleantext"
)

const (
	// maxPerfMap bounds what is read of one perf map in all (bytes), and
	// perfMapStep what is read of it at one look.
	maxPerfMap  = 64 << 20
	perfMapStep = 4 << 20
	// maxPerfEntries and maxPerfBytes bound what is held of one.
	maxPerfEntries = 320_000
	maxPerfBytes   = 24 << 20
	// maxPerfLine bounds one line (bytes): of a longer one nothing is believed.
	maxPerfLine = 4096
	// perfMapInterval is how often a map is looked at for new entries, and
	// perfMapMissing how often while code is met that is not in it, at first:
	// each time that nothing new is found doubles it, up to perfMapPatience.
	perfMapInterval = time.Second
	perfMapMissing  = 100 * time.Millisecond
	perfMapPatience = 5 * time.Second
	// perfMapTail is how much of the end of what was read is kept, to tell a
	// map that grew from one that was written anew (bytes).
	perfMapTail = 256
	// perfEntrySize estimates an entry without its name (bytes).
	perfEntrySize = 64
	// mergeBatch is how many entries are merged while names must wait.
	mergeBatch = 512
)

// jitSymbol is one compiled function.
type jitSymbol struct {
	start, end uint64
	name       string
}

func (s jitSymbol) bytes() int64 { return perfEntrySize + int64(len(s.name)) }

func byStart(a, b jitSymbol) bool { return a.start < b.start }

// jitTable holds functions of which no two overlap, by address.
type jitTable struct {
	tree *btree.BTreeG[jitSymbol]
	size int64
}

func (t *jitTable) len() int {
	if t.tree == nil {
		return 0
	}
	return t.tree.Len()
}

// find returns the function at addr.
func (t *jitTable) find(addr uint64) (found jitSymbol, ok bool) {
	if t.tree == nil {
		return found, false
	}
	t.tree.DescendLessOrEqual(jitSymbol{start: addr}, func(s jitSymbol) bool {
		found, ok = s, addr < s.end
		return false
	})
	return found, ok
}

// put lays a newer function over the older ones, whose code is gone. The cost is
// that of the function and of those it replaces.
func (t *jitTable) put(s jitSymbol) {
	if t.tree == nil {
		t.tree = btree.NewG(32, byStart)
	}
	for {
		old, ok := t.find(s.start)
		if !ok {
			t.tree.AscendGreaterOrEqual(jitSymbol{start: s.start}, func(next jitSymbol) bool {
				old, ok = next, next.start < s.end
				return false
			})
		}
		if !ok {
			break
		}
		t.tree.Delete(old)
		t.size -= old.bytes()
	}
	t.tree.ReplaceOrInsert(s)
	t.size += s.bytes()
}

// perfMap is the table that JIT compilers write for profilers: lines of
// "START SIZE name", in hexadecimal, appended as functions are compiled. A
// later entry replaces older ones at its addresses, whose code is gone. V8 and
// CPython append; the JVM writes all of it anew whenever it is asked to (jcmd
// Compiler.perfmap), and is often met half way. One goroutine updates it at a
// time, others may find names meanwhile.
type perfMap struct {
	mu  sync.RWMutex
	now jitTable
	// previous are those of the map before it was written anew: they fill in
	// while the new one is incomplete, and for code that has just gone.
	previous jitTable
	// generation changes whenever a name may.
	generation uint32

	// updating is held by the one who updates, and guards what follows.
	updating sync.Mutex

	read    int64  // bytes consumed
	tail    []byte // the last of them
	skips   bool   // the line under way is too long
	looked  time.Time
	wait    time.Duration // until it is looked at for what is missing
	updated bool          // the last look found something
	full    error         // why later entries are not read
	told    bool          // somebody was told so
}

// find names the function at addr.
func (m *perfMap) find(addr uint64) (string, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if s, ok := m.now.find(addr); ok {
		return s.name, true
	}
	if s, ok := m.previous.find(addr); ok {
		return s.name, true
	}
	return "", false
}

// len is the number of functions.
func (m *perfMap) len() int {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.now.len()
}

// bytes estimates the memory held.
func (m *perfMap) bytes() int64 {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.now.size + m.previous.size
}

var errPerfMapFull = fmt.Errorf("perf map has more than %d functions, or %d MiB: later ones are not read", maxPerfEntries, maxPerfBytes>>20)

// update reads what was appended since the last time, perfMapStep at most; a map
// that was written anew is read from its start. It costs what it reads.
func (m *perfMap) update(r io.ReaderAt, size int64) error {
	m.updated = false
	if size < m.read || !m.continues(r) {
		m.mu.Lock()
		m.now, m.previous = jitTable{}, m.now
		m.mu.Unlock()
		m.read, m.tail, m.skips, m.full = 0, nil, false, nil
	}
	if m.full != nil || size == m.read {
		return m.full
	}
	if m.read >= maxPerfMap {
		m.full = fmt.Errorf("perf map is larger than %d MiB; later entries are not read", maxPerfMap>>20)
		return m.full
	}
	data := make([]byte, min(size-m.read, perfMapStep))
	n, err := r.ReadAt(data, m.read)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	data = m.lines(data[:n])
	return m.merge(data)
}

// lines consumes whole lines, and what can be part of none.
func (m *perfMap) lines(data []byte) []byte {
	end := bytes.LastIndexByte(data, '\n') + 1 // the last line may be half written
	if len(data)-end > maxPerfLine {
		end = len(data) // a hole, or a line that is too long
	}
	if end == 0 {
		return nil
	}
	whole := data[:end]
	m.read += int64(end)
	m.tail = bytes.Clone(whole[max(0, end-perfMapTail):])
	if m.skips {
		i := bytes.IndexByte(whole, '\n')
		if i < 0 {
			return nil
		}
		whole, m.skips = whole[i+1:], false
	}
	if len(whole) > 0 && whole[len(whole)-1] != '\n' {
		m.skips = true
		whole = whole[:bytes.LastIndexByte(whole, '\n')+1]
	}
	return whole
}

// continues reports whether what was read last is still there.
func (m *perfMap) continues(r io.ReaderAt) bool {
	now := make([]byte, len(m.tail))
	n, err := r.ReadAt(now, m.read-int64(len(m.tail)))
	return (err == nil || errors.Is(err, io.EOF)) && bytes.Equal(now[:n], m.tail)
}

// merge lays the functions of some lines over the older ones.
func (m *perfMap) merge(text []byte) error {
	batch := make([]jitSymbol, 0, mergeBatch)
	put := func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		for _, s := range batch {
			if m.now.len() >= maxPerfEntries || m.now.size+s.bytes() > maxPerfBytes {
				m.full = errPerfMapFull
				break
			}
			// The same again names everything as before.
			if old, ok := m.previous.find(s.start); !ok || old != s {
				m.updated = true
			}
			m.now.put(s)
		}
		batch = batch[:0]
	}
	for line := range bytes.Lines(text) {
		if s, ok := parsePerfLine(line); ok {
			batch = append(batch, s)
		}
		if len(batch) == cap(batch) {
			if put(); m.full != nil {
				break
			}
		}
	}
	put()
	if m.updated {
		m.mu.Lock()
		m.generation++ // only now: a stack named meanwhile is named again
		m.mu.Unlock()
	}
	return m.full
}

// parsePerfLine reads one line; ok is false of those it does not understand.
func parsePerfLine(line []byte) (s jitSymbol, ok bool) {
	if len(line) > maxPerfLine {
		return s, false
	}
	from, rest, ok := strings.Cut(string(bytes.TrimRight(line, "\r\n")), " ")
	length, name, ok2 := strings.Cut(rest, " ")
	if !ok || !ok2 {
		return s, false
	}
	start, err := strconv.ParseUint(strings.TrimPrefix(from, "0x"), 16, 64)
	size, err2 := strconv.ParseUint(strings.TrimPrefix(length, "0x"), 16, 64)
	if name = strings.Clone(cleantext.Clean(name, cleantext.MaxFunction)); err != nil || err2 != nil || size == 0 || start+size < start || name == "" {
		return s, false
	}
	return jitSymbol{start, start + size, name}, true
}
