package stack

import (
	"container/list"
	"errors"
	"hash/maphash"
	"math"
	"slices"
	"strings"
	"sync"
	"time"
	"unsafe"

	"github.com/perfscope/perfscope/internal/rootfs"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// Registers are a thread's registers at the instant its stack was copied.
type Registers struct {
	// IP is the instruction pointer (amd64 rip, arm64 pc).
	IP uint64
	// SP is the stack pointer (rsp, sp); the copied bytes start there.
	SP uint64
	// BP is the frame pointer (rbp, x29).
	BP uint64
	// LR is arm64's link register (x30); zero elsewhere or when unknown.
	LR uint64
}

// Options bound what an Unwinder holds. Zero fields take their defaults.
type Options struct {
	// MaxProcesses bounds the processes known (default 4096).
	MaxProcesses int
	// MaxModules bounds the files whose tables are held (default 1024); of four times as
	// many it is known what they are.
	MaxModules int
	// MaxModuleBytes bounds the memory of those tables, and of what was found out of
	// addresses with them (default 64 MiB).
	// It can be exceeded by one module, of 48 MiB at most: a walk whose modules
	// are beyond it loads no other, and is incomplete. One module is read at a
	// time, with as much memory again.
	MaxModuleBytes int64
	// MaxStacks bounds the symbolised stacks kept (default 16384).
	MaxStacks int
	// MaxStackBytes bounds the memory of those stacks (default 24 MiB).
	MaxStackBytes int64
	// MaxPerfMapBytes bounds the memory of all perf maps (default 48 MiB); a
	// single one takes up to 24 MiB.
	MaxPerfMapBytes int64
	// MaxMapBytes bounds the memory of the memory maps of all processes (default
	// 16 MiB).
	MaxMapBytes int64
	// DebugDirs are the directories of separate debug files (default
	// /usr/lib/debug), below the target's root first, then the host's.
	DebugDirs []string
	// Lines looks up file, line and inlined functions of the program's own
	// modules in DWARF data up to 64 MiB. Go's lines come from its own table and are always given.
	Lines bool
	// Variables are the names of variables of dynamic symbol tables that are asked
	// for by Variables.
	Variables []string
	// Quarantine gets each process, module and perf map that is left alone
	// because it costs too much; it must not block. It may be nil.
	Quarantine func(Quarantine)
	// Now replaces the clock in tests.
	Now func() time.Time
}

// Stats are an Unwinder's counters since it was made and its present size.
type Stats struct {
	// Stacks counts calls of Unwind that gave a stack; Complete those that
	// reached the thread's start; CacheHits those whose names were cached.
	Stacks, Complete, CacheHits uint64
	// Failed counts calls of Unwind that gave an error.
	Failed uint64
	// Stuck counts reads that hung; see package rootfs.
	Stuck uint64
	// Refreshes counts maps read again because of an unknown address.
	Refreshes uint64
	// ModuleLoads, ModuleRereads (of those, files whose tables had been dropped),
	// ModuleEvictions and UnreadableModules count what became of files.
	ModuleLoads, ModuleRereads, ModuleEvictions, UnreadableModules uint64
	// ModuleRefusals counts modules not loaded because those of one walk
	// were beyond MaxModuleBytes, ModuleDeferrals those not read again for now, since that
	// took too much time; PerfMapEvictions perf maps dropped.
	// ProcessEvictions counts processes let go for the memory of their maps,
	// Quarantined what was left alone because it cost too much.
	ModuleRefusals, ModuleDeferrals, PerfMapEvictions, ProcessEvictions, Quarantined uint64
	// Processes, Modules and CachedStacks are what is held now.
	Processes, Modules, CachedStacks int
	// ModuleBytes, StackBytes and PerfMapBytes estimate the memory held now.
	ModuleBytes, StackBytes, PerfMapBytes, MapBytes int64
}

// Bytes estimates all memory held.
func (s Stats) Bytes() int64 { return s.ModuleBytes + s.StackBytes + s.PerfMapBytes + s.MapBytes }

// Unwinder turns stack copies into named stacks. It is safe for concurrent
// use. Walks are served one at a time, in memory and in bounded time; what has to
// be read for them is read in between, see work.go.
type Unwinder struct {
	mu   sync.Mutex
	opts Options
	arch *architecture
	door *rootfs.Door
	// readMaps reads the memory map of a process; replaced in tests.
	readMaps  func(pid int32) ([]byte, error)
	now       func() time.Time
	cpu       func() time.Duration
	processes map[int32]*process
	modules   map[moduleKey]*module
	accounts  accounts
	rereads   spending // on tables that were dropped
	mapBytes  int64    // of all processes
	tick      uint64   // counts uses, to order them
	serial    uint64   // of the process made last
	refused   bool     // the walk under way met a module that was refused
	deferred  bool     // or one that is not read again for now
	walkStart uint64   // tick at which the walk under way began
	stats     Stats
	lastError error
	places    []place
	stacks    map[uint64]*list.Element
	recent    *list.List // of *cachedStack, most recent first

	// want is the work that the walk under way lacks, codes the addresses whose
	// machine code it lacks, failure why the work was in vain.
	want    work
	codes   []uint64
	failure error
	// loading is held by the one who reads a module.
	loading chan struct{}
}

// cachedStack is a symbolised walk.
type cachedStack struct {
	hash uint64
	// serial is the process's: the process itself may be forgotten.
	serial     uint64
	generation uint32
	addrs      []uint64
	stack      threadtrace.Stack
	size       int64
}

// NewUnwinder makes an Unwinder with empty caches.
func NewUnwinder(opts Options) *Unwinder {
	def := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	def(&opts.MaxProcesses, 4096)
	def(&opts.MaxModules, 1024)
	def(&opts.MaxStacks, 16384)
	if opts.MaxModuleBytes <= 0 {
		opts.MaxModuleBytes = 64 << 20
	}
	if opts.MaxStackBytes <= 0 {
		opts.MaxStackBytes = 24 << 20
	}
	if opts.MaxPerfMapBytes <= 0 {
		opts.MaxPerfMapBytes = 48 << 20
	}
	if opts.MaxMapBytes <= 0 {
		opts.MaxMapBytes = 16 << 20
	}
	if opts.DebugDirs == nil {
		opts.DebugDirs = []string{"/usr/lib/debug"}
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	door := &rootfs.Door{}
	return &Unwinder{
		opts: opts, arch: hostArchitecture(), door: door, now: opts.Now, cpu: threadTime,
		readMaps:  func(pid int32) ([]byte, error) { return door.ReadMemory(pid, "maps", maxMapsText) },
		processes: map[int32]*process{}, modules: map[moduleKey]*module{}, accounts: accounts{},
		stacks: map[uint64]*list.Element{}, recent: list.New(), loading: make(chan struct{}, 1),
	}
}

// Unwind walks the user stack of a thread of pid from regs, reading stack
// memory only from copied, which begins at regs.SP, and
// names its frames, innermost first. The stack returned is shared with later
// calls: do not modify it. The bytes are not kept. An error means that
// nothing is known of the process (it is gone, or not ours to read), that it is
// left alone, or ErrDeferred. It may take as long as the reading of files takes.
func (u *Unwinder) Unwind(pid int32, regs Registers, copied Copy) (threadtrace.Stack, error) {
	return u.unwind(pid, regs, copied, maxWork)
}

// Try is Unwind with what is held in memory, in well under a millisecond; it gives
// ErrWork when that is not enough.
func (u *Unwinder) Try(pid int32, regs Registers, copied Copy) (threadtrace.Stack, error) {
	return u.unwind(pid, regs, copied, 0)
}

func (u *Unwinder) unwind(pid int32, regs Registers, copied Copy, most int) (st threadtrace.Stack, err error) {
	deferred := false
	err = u.patiently(pid, most, func(p *process) {
		st = u.stackOf(p, regs, copied)
		deferred = u.deferred
	})
	if err == nil && deferred {
		return threadtrace.Stack{}, ErrDeferred
	}
	if err != nil && !errors.Is(err, ErrWork) {
		u.mu.Lock()
		u.stats.Failed++
		u.mu.Unlock()
	}
	return st, err
}

// stackOf walks and names a stack; the result means nothing if work is wanted.
func (u *Unwinder) stackOf(p *process, regs Registers, copied Copy) threadtrace.Stack {
	r := u.initial(regs)
	mem := copied.at(regs.SP)
	places, complete := u.walk(p, &r, &mem, u.places[:0])
	u.places = places
	defer clear(places) // modules may be dropped
	if !u.wants() {
		u.knowCompiled(p, places)
		u.knowCalls(p, places)
	}
	if u.wants() || u.deferred {
		return threadtrace.Stack{}
	}
	u.stats.Stacks++
	if complete {
		u.stats.Complete++
	}
	hash := hashPlaces(p, places, complete)
	if e, ok := u.stacks[hash]; ok {
		c := e.Value.(*cachedStack)
		if c.serial == p.serial && c.generation == p.generation && c.stack.Complete == complete && c.matches(places) {
			u.recent.MoveToFront(e)
			u.stats.CacheHits++
			return c.stack
		}
		u.dropStack(e)
	}
	st := u.symbolise(p, places, complete)
	if u.refused {
		return st // there may be room another time
	}
	u.keepStack(&cachedStack{hash: hash, serial: p.serial, generation: p.generation, stack: st}, places)
	return st
}

// initial is the register file at the start of a walk.
func (u *Unwinder) initial(regs Registers) registers {
	var r registers
	r.set(u.arch.ip, regs.IP)
	r.set(u.arch.sp, regs.SP)
	r.set(u.arch.bp, regs.BP)
	if u.arch.lr != 0 && regs.LR != 0 {
		r.set(u.arch.lr, regs.LR)
	}
	return r
}

func hashPlaces(p *process, places []place, complete bool) uint64 {
	var h maphash.Hash
	h.SetSeed(hashSeed)
	var b [8]byte
	put := func(v uint64) {
		for i := range b {
			b[i] = byte(v >> (8 * i))
		}
		_, _ = h.Write(b[:])
	}
	put(uint64(uint32(p.pid)))
	if complete {
		put(1)
	}
	for i := range places {
		put(places[i].addr)
	}
	return h.Sum64()
}

func (c *cachedStack) matches(places []place) bool {
	if len(c.addrs) != len(places) {
		return false
	}
	for i := range places {
		if c.addrs[i] != places[i].addr {
			return false
		}
	}
	return true
}

func (u *Unwinder) keepStack(c *cachedStack, places []place) {
	c.addrs = make([]uint64, len(places))
	for i := range places {
		c.addrs[i] = places[i].addr
	}
	// Names are shared with the modules' sites and not counted again.
	c.size = 256 + int64(len(c.addrs))*8 + int64(len(c.stack.Frames))*int64(unsafe.Sizeof(threadtrace.Frame{}))
	u.stats.StackBytes += c.size
	u.stacks[c.hash] = u.recent.PushFront(c)
	for u.recent.Len() > 1 && (u.recent.Len() > u.opts.MaxStacks || u.stats.StackBytes > u.opts.MaxStackBytes) {
		u.dropStack(u.recent.Back())
	}
}

func (u *Unwinder) dropStack(e *list.Element) {
	c := u.recent.Remove(e).(*cachedStack)
	delete(u.stacks, c.hash)
	u.stats.StackBytes -= c.size
}

// Inherit takes it that child has just been forked by parent: it has the same
// mappings. If those are known its stacks can be named even when it has ended
// before anybody could read its own. Nothing is read.
func (u *Unwinder) Inherit(parent, child int32) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.forget(child)
	u.tick++
	from := u.processes[parent]
	if from == nil {
		return // the child's own are read, if there is time
	}
	u.serial++
	p := &process{
		serial: u.serial, pid: child, heir: parent, exe: from.exe, runtimeName: from.runtimeName,
		mapsHash: from.mapsHash, read: u.now(), perf: &perfMap{},
		functions: from.functions, patience: firstRefresh, used: u.tick,
	}
	if from.heir != 0 {
		p.heir = from.heir // who forked a child is often gone before it
	}
	maps := slices.Clone(from.maps)
	u.add(p)
	u.setMaps(p, maps)
}

// Forget drops what is known of a process: call it when the process exits or
// executes another program.
func (u *Unwinder) Forget(pid int32) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.forget(pid)
	delete(u.accounts, pid)
}

func (u *Unwinder) forget(pid int32) {
	if p := u.processes[pid]; p != nil {
		// Work for it may be under way.
		u.mapBytes -= p.mapBytes
		p.maps, p.mapBytes, p.perf = nil, 0, &perfMap{}
		p.generation++
		delete(u.processes, pid)
	}
}

// Facts are what is known of a process beside its stacks.
type Facts struct {
	// Functions is the number of functions in the program's own modules (system
	// libraries and language runtimes left out); zero when they cannot be read.
	Functions int
	// BuildIDKind is "gnu" (BuildID is in hexadecimal) or "go", and empty when
	// the program has none.
	BuildIDKind, BuildID string
	// Runtime names the language runtime: "go", "jvm", "nodejs", "cpython",
	// "ruby", "php", "dotnet", or "" for plain native code.
	Runtime string
}

// Facts reads the modules of a process, which takes time; the stacks of all
// others are unwound meanwhile. What of it cannot be read is zero; an error means that
// nothing is known of the process.
func (u *Unwinder) Facts(pid int32) (f Facts, err error) {
	err = u.patiently(pid, 3*maxCounted, func(p *process) {
		f = Facts{Runtime: p.runtimeName}
		if mod := u.program(p); mod != nil && !u.wants() {
			switch {
			case mod.gnuID != "":
				f.BuildIDKind, f.BuildID = "gnu", mod.gnuID
			case mod.goID != "":
				f.BuildIDKind, f.BuildID = "go", strings.TrimRight(mod.goID, "\x00")
			}
			if f.Runtime == "" && mod.isGo {
				f.Runtime = "go"
			}
		}
		if p.functions < 0 && !u.wants() {
			u.countFunctions(p)
		}
		f.Functions = max(p.functions, 0) + p.perf.len()
	})
	return f, err
}

// maxCounted bounds the mappings whose functions are counted.
const maxCounted = 1024

// countFunctions counts those of the modules that are known; the first that is
// not is wanted.
func (u *Unwinder) countFunctions(p *process) {
	seen := map[*module]bool{}
	count := 0
	for i := range min(len(p.maps), maxCounted) {
		u.walkStart = math.MaxUint64 // of the others none is needed any more
		mod := u.moduleFor(p, &p.maps[i])
		if u.wants() {
			return
		}
		if mod != nil && !seen[mod] && mod.origin == threadtrace.OriginApplication {
			seen[mod] = true
			count += mod.count
		}
	}
	p.functions = count
}

// Stats gives the counters and the present sizes.
func (u *Unwinder) Stats() Stats {
	u.mu.Lock()
	defer u.mu.Unlock()
	s := u.stats
	s.Processes, s.CachedStacks = len(u.processes), u.recent.Len()
	s.Stuck, s.MapBytes = u.door.Stuck(), u.mapBytes
	s.ModuleBytes, s.Modules = u.held()
	for _, p := range u.processes {
		s.PerfMapBytes += p.perf.bytes()
	}
	return s
}

// LastError is the most recent reason why a module or perf map could not be
// read; nil when all could.
func (u *Unwinder) LastError() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.lastError
}
