package process

import (
	"cmp"
	"fmt"
	"path/filepath"
	"strings"
	"time"
)

const (
	// maxThreadNames bounds the cache of thread names (about 3 MB).
	maxThreadNames = 16384
	// threadNameAge is for how long a name is believed: threads are named
	// a little after they start, and pools rename theirs.
	threadNameAge = 10 * time.Second
)

type threadKey struct{ pid, tid int32 }

type threadName struct {
	name string
	read time.Time
}

// ThreadNames reads and keeps the names of threads. It is not safe for
// concurrent use.
type ThreadNames struct {
	fs    procFS
	now   func() time.Time
	names map[threadKey]threadName
}

// NewThreadNames reads below root, /proc when it is empty.
func NewThreadNames(root string) *ThreadNames {
	return &ThreadNames{fs: procFS{root: cmp.Or(root, "/proc")}, now: time.Now, names: map[threadKey]threadName{}}
}

// Name is the name of a thread; the last known one when the thread has ended,
// empty when there is none.
func (t *ThreadNames) Name(pid, tid int32) string {
	key := threadKey{pid, tid}
	now := t.now()
	known, ok := t.names[key]
	if ok && now.Sub(known.read) < threadNameAge {
		return known.name
	}
	data, err := t.fs.read(pid, filepath.Join("task", fmt.Sprint(tid), "comm"), 64)
	if err == nil {
		known.name = strings.ToValidUTF8(strings.TrimSuffix(string(data), "\n"), "\uFFFD")
	}
	// A failure is kept too, else a thread that ended is asked for at
	// every flush.
	known.read = now
	if !ok && len(t.names) >= maxThreadNames {
		t.evict()
	}
	t.names[key] = known
	return known.name
}

// evict makes room: any sixteenth of the names, map order being random.
func (t *ThreadNames) evict() {
	n := maxThreadNames / 16
	for key := range t.names {
		delete(t.names, key)
		if n--; n == 0 {
			return
		}
	}
}

// Put keeps a name learnt otherwise (from the kernel's record of the thread).
func (t *ThreadNames) Put(pid, tid int32, name string) {
	key := threadKey{pid, tid}
	if _, ok := t.names[key]; !ok && len(t.names) >= maxThreadNames {
		t.evict()
	}
	t.names[key] = threadName{name: strings.ToValidUTF8(name, "\uFFFD"), read: t.now()}
}

// Forget lets the names of a process go.
func (t *ThreadNames) Forget(pid int32) {
	for key := range t.names {
		if key.pid == pid {
			delete(t.names, key)
		}
	}
}

// Len is the number of names held.
func (t *ThreadNames) Len() int { return len(t.names) }

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
