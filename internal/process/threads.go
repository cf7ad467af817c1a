package process

import (
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/perfscope/perfscope/internal/cleantext"
)

const (
	// maxThreadNames bounds the cache of thread names (about 3 MB).
	maxThreadNames = 16384
	// threadNameAge is for how long a name is believed: threads are named
	// a little after they start, and pools rename theirs.
	threadNameAge = 10 * time.Second
)

type threadName struct {
	name string
	read time.Time
}

// ThreadNames reads and keeps the names of threads. It is safe for concurrent
// use, and reads no file under its lock.
type ThreadNames struct {
	fs  procFS
	now func() time.Time

	mu sync.Mutex
	// names are by process and thread, so that forgetting a process costs
	// its own threads only.
	names map[int32]map[int32]threadName
	count int
	// forgotten counts calls of Forget: a name read meanwhile is not kept.
	forgotten uint64
}

// NewThreadNames reads below root, /proc when it is empty.
func NewThreadNames(root string) *ThreadNames {
	return &ThreadNames{fs: newProcFS(root), now: time.Now, names: map[int32]map[int32]threadName{}}
}

// Name is the name of a thread; the last known one when the thread has ended,
// empty when there is none.
func (t *ThreadNames) Name(pid, tid int32) string {
	now := t.now()
	t.mu.Lock()
	known, ok := t.names[pid][tid]
	forgotten := t.forgotten
	t.mu.Unlock()
	if ok && now.Sub(known.read) < threadNameAge {
		return known.name
	}
	data, err := t.fs.read(pid, filepath.Join("task", fmt.Sprint(tid), "comm"), 64)
	if err == nil {
		known.name = cleantext.Clean(strings.TrimSuffix(string(data), "\n"), cleantext.MaxName)
	}
	// A failure is kept too, else a thread that ended is asked for at
	// every flush.
	known.read = now
	t.mu.Lock()
	defer t.mu.Unlock()
	if forgotten == t.forgotten {
		t.put(pid, tid, known)
	}
	return known.name
}

func (t *ThreadNames) put(pid, tid int32, name threadName) {
	if _, ok := t.names[pid][tid]; !ok {
		if t.count >= maxThreadNames {
			t.evict()
		}
		t.count++
	}
	// Only now: the eviction may have let the process go.
	own := t.names[pid]
	if own == nil {
		own = map[int32]threadName{}
		t.names[pid] = own
	}
	own[tid] = name
}

// evict makes room: any sixteenth of the names, map order being random.
func (t *ThreadNames) evict() {
	n := maxThreadNames / 16
	for pid, own := range t.names {
		for tid := range own {
			delete(own, tid)
			t.count--
			if n--; n == 0 {
				break
			}
		}
		if len(own) == 0 {
			delete(t.names, pid)
		}
		if n == 0 {
			return
		}
	}
}

// Put keeps a name learnt otherwise (from the kernel's record of the thread).
func (t *ThreadNames) Put(pid, tid int32, name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.put(pid, tid, threadName{name: cleantext.Clean(name, cleantext.MaxName), read: t.now()})
}

// Forget lets the names of a process go.
func (t *ThreadNames) Forget(pid int32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.count -= len(t.names[pid])
	delete(t.names, pid)
	t.forgotten++
}

// Len is the number of names held.
func (t *ThreadNames) Len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.count
}

// CountThreads is the number of threads of a process, zero when it has ended.
func (t *ThreadNames) CountThreads(pid int32) int {
	data, err := t.fs.read(pid, "stat", 4096)
	if err != nil {
		return 0
	}
	return parseThreadCount(data)
}

func parseThreadCount(data []byte) int {
	_, rest, ok := cutLast(string(data), ')')
	fields := strings.Fields(rest)
	if !ok || len(fields) < 18 {
		return 0
	}
	n, valid := parsePID(fields[17]) // num_threads is field 20 of the line
	if !valid {
		return 0
	}
	return int(n)
}

func cutLast(s string, sep byte) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}
