package interpreter

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/perfscope/perfscope/internal/rootfs"
)

// Program is what a process runs.
type Program struct {
	// Module is the base name of the file that has the interpreter (python3.11,
	// libruby-3.1.so.3.1.2), Variables where its variables are in the process.
	Module    string
	Variables map[string]uint64
}

// Variables are the names that a Reader asks for.
var Variables = []string{"_PyRuntime", "PyCode_Type", "Py_Version", "executor_globals", "ruby_current_vm_ptr"}

// Thread is a thread to look at.
type Thread struct {
	// PID and TID are as the host counts, Inner is the thread's id in its own
	// PID namespace. Main is set on the first thread of the process.
	PID, TID, Inner int32
	Main            bool
	// SP is its stack pointer.
	SP uint64
}

// Seen is what a thread was doing when its native stack was copied: that a look is
// of the same is checked.
type Seen struct {
	// Running is set when it was on a CPU; else it waited, at IP and SP.
	Running bool
	IP, SP  uint64
}

const (
	// maxProcesses bounds the processes remembered.
	maxProcesses = 4096
	// readsPerSecond and readsAtOnce bound the reads of one process's memory,
	// about 1 us each: a percent of a CPU.
	readsPerSecond, readsAtOnce = 10000, 20000
	// maxBytesHeld bounds the memory of what is remembered of all processes, and
	// maxBytesOfOne that of one.
	maxBytesHeld, maxBytesOfOne = 32 << 20, 4 << 20
	// maxFailures is after how many looks in vain a process is left alone for a
	// rest, which doubles.
	maxFailures         = 8
	firstRest, mostRest = 10 * time.Second, 10 * time.Minute
)

// ErrOverBudget is that looks at the process have cost too much, or were in vain.
var ErrOverBudget = errors.New("the process is left alone for a while")

// Reader reads the frames of interpreters. It is safe for concurrent use.
type Reader struct {
	door     *rootfs.Door
	programs func(pid int32) (Program, error)
	now      func() time.Time
	memory   func(pid int32) Memory
	// languages makes the reader of a program's frames; replaced in tests.
	languages func(*Program, *look) (language, error)

	mu        sync.Mutex
	processes map[int32]*process
	tick      uint64
	held      int64 // bytes, of all processes
}

// NewReader makes a Reader; programs finds out what a process runs, and may take as
// long as the reading of files takes.
func NewReader(door *rootfs.Door, programs func(pid int32) (Program, error)) *Reader {
	return &Reader{
		door: door, programs: programs, now: time.Now, processes: map[int32]*process{},
		memory: func(pid int32) Memory { return rootfs.ProcessMemory(pid) }, languages: languageOf,
	}
}

// language reads the frames of one process of an interpreter.
type language interface {
	calls(l *look, t Thread) ([]Call, error)
	// bytes estimates the memory held.
	bytes() int64
}

// process is what is remembered of one process.
type process struct {
	used uint64 // under the reader's lock, as is held
	held int64

	// The rest is used by one look at a time: mu is held, in the goroutine that
	// may hang, and the door lets no other begin while one hangs.
	mu       sync.Mutex
	language language
	nested   bool            // in a PID namespace below the collector's
	inner    map[int32]int32 // thread ids in it
	budget   float64         // reads
	at       time.Time
	failures int
	rest     time.Duration
	until    time.Time
}

// Forget drops what is known of a process: call it when the process exits or
// executes another program.
func (r *Reader) Forget(pid int32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.drop(pid)
}

func (r *Reader) drop(pid int32) {
	if p := r.processes[pid]; p != nil {
		r.held -= p.held
		delete(r.processes, pid)
	}
}

// Bytes estimates the memory held.
func (r *Reader) Bytes() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.held
}

// account notes what is held of a process, and makes room for it.
func (r *Reader) account(pid int32, p *process, bytes int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.processes[pid] != p {
		return // forgotten meanwhile
	}
	r.held += bytes - p.held
	p.held = bytes
	for r.held > maxBytesHeld && len(r.processes) > 1 {
		r.dropOldest()
	}
}

func (r *Reader) process(pid int32) *process {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tick++
	p := r.processes[pid]
	if p == nil {
		for len(r.processes) >= maxProcesses {
			r.dropOldest()
		}
		p = &process{inner: map[int32]int32{}, budget: readsAtOnce, at: r.now(), rest: firstRest}
		r.processes[pid] = p
	}
	p.used = r.tick
	return p
}

func (r *Reader) dropOldest() {
	var oldest int32
	least := uint64(0)
	for pid, p := range r.processes {
		if least == 0 || p.used < least {
			oldest, least = pid, p.used
		}
	}
	r.drop(oldest)
}

// Look reads the frames of a thread, by calls of the interpreter's loop, innermost
// first. It gives those that it could read, and an error when they are not all; none
// with one of the errors of this package, or of package rootfs.
func (r *Reader) Look(pid, tid int32, seen Seen) ([]Call, error) {
	p := r.process(pid)
	return rootfs.Do(r.door, pid, func() ([]Call, error) {
		p.mu.Lock()
		defer p.mu.Unlock()
		return r.look(p, Thread{PID: pid, TID: tid, Inner: tid, Main: pid == tid, SP: seen.SP}, seen)
	})
}

func (r *Reader) look(p *process, t Thread, seen Seen) (calls []Call, err error) {
	now := r.now()
	if now.Before(p.until) {
		return nil, ErrOverBudget
	}
	p.budget = min(readsAtOnce, p.budget+readsPerSecond*now.Sub(p.at).Seconds())
	if p.at = now; p.budget < maxReads {
		return nil, ErrOverBudget
	}
	l := &look{mem: r.memory(t.PID), now: now}
	defer func() {
		p.budget -= float64(l.reads)
		p.judge(err, now)
	}()
	if p.language == nil {
		if err := r.open(p, t.PID, l); err != nil {
			return nil, err
		}
	}
	if p.nested {
		if t.Inner, err = r.innerID(p, t); err != nil {
			return nil, err
		}
	}
	defer func() { r.account(t.PID, p, p.language.bytes()) }()
	if calls, err = p.language.calls(l, t); err != nil && len(calls) == 0 {
		return nil, err
	}
	if r.moved(t, seen) {
		return nil, ErrMoved
	}
	return calls, err
}

// judge leaves a process alone for a while at which looks are in vain.
func (p *process) judge(err error, now time.Time) {
	switch {
	case err == nil:
		p.failures, p.rest = 0, firstRest
	case errors.Is(err, ErrMoved), errors.Is(err, ErrNoThread), errors.Is(err, ErrOverBudget):
	case errors.Is(err, ErrUnsupported):
		p.failures = maxFailures
		fallthrough
	default:
		if p.failures++; p.failures > maxFailures {
			p.until, p.failures = now.Add(p.rest), 0
			p.rest = min(2*p.rest, mostRest)
		}
	}
}

// open finds the interpreter of a process.
func (r *Reader) open(p *process, pid int32, l *look) error {
	program, err := r.programs(pid)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	if p.language, err = r.languages(&program, l); err != nil {
		p.language = nil
		return err
	}
	ids, err := r.innerIDs(pid, "status")
	p.nested = err == nil && len(ids) > 1
	return nil
}

func languageOf(p *Program, l *look) (language, error) {
	switch {
	case p.Variables["_PyRuntime"] != 0:
		return newPython(p, l)
	case p.Variables["executor_globals"] != 0:
		return newPHP(p, l)
	case p.Variables["ruby_current_vm_ptr"] != 0:
		return newRuby(p, l)
	}
	return nil, ErrUnsupported
}

// innerID is the id of a thread in its own PID namespace.
func (r *Reader) innerID(p *process, t Thread) (int32, error) {
	if id, ok := p.inner[t.TID]; ok {
		return id, nil
	}
	ids, err := r.innerIDs(t.PID, "task/"+strconv.Itoa(int(t.TID))+"/status")
	if err != nil || len(ids) == 0 {
		return 0, ErrNoThread
	}
	if len(p.inner) >= maxStates {
		clear(p.inner)
	}
	p.inner[t.TID] = ids[len(ids)-1]
	return p.inner[t.TID], nil
}

// innerIDs are the ids of a process or thread, from the collector's PID namespace
// inward.
func (r *Reader) innerIDs(pid int32, file string) ([]int32, error) {
	text, err := r.door.Read(pid, file, 64<<10)
	if err != nil {
		return nil, err
	}
	_, rest, _ := strings.Cut(string(text), "\nNSpid:")
	line, _, _ := strings.Cut(rest, "\n")
	var ids []int32
	for _, field := range strings.Fields(line) {
		id, err := strconv.ParseInt(field, 10, 32)
		if err != nil {
			return nil, err
		}
		ids = append(ids, int32(id))
	}
	return ids, nil
}

// moved reports whether a thread does something else than it did: it runs or waits
// instead, or waits elsewhere. One that has come back to the same call at the same
// depth is taken for the same.
func (r *Reader) moved(t Thread, seen Seen) bool {
	text, err := r.door.ReadOnce(t.PID, "task/"+strconv.Itoa(int(t.TID))+"/syscall", 512)
	if err != nil {
		return true
	}
	fields := strings.Fields(string(text))
	if seen.Running {
		return len(fields) == 0 || fields[0] != "running"
	}
	if len(fields) < 3 { // number, arguments, sp, pc; of one outside calls -1, sp, pc
		return true
	}
	sp, err1 := strconv.ParseUint(fields[len(fields)-2], 0, 64)
	ip, err2 := strconv.ParseUint(fields[len(fields)-1], 0, 64)
	return err1 != nil || err2 != nil || sp != seen.SP || ip != seen.IP
}
