package stack

import (
	"container/list"
	"hash/maphash"
	"math"
	"slices"
	"strings"
	"sync"
	"time"
	"unsafe"

	"github.com/perfscope/perfscope/internal/procread"
	"github.com/perfscope/perfscope/internal/syscalltrace"
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
	// MaxModules bounds the files whose tables are held (default 1024).
	MaxModules int
	// MaxModuleBytes bounds the memory of those tables (default 256 MiB).
	// It can be exceeded by one module: a walk whose modules are beyond it
	// loads no other, and is incomplete.
	MaxModuleBytes int64
	// MaxStacks bounds the symbolised stacks kept (default 16384).
	MaxStacks int
	// MaxStackBytes bounds the memory of those stacks (default 64 MiB).
	MaxStackBytes int64
	// MaxPerfMapBytes bounds the memory of all perf maps (default 128 MiB);
	// a single one is read up to 64 MiB.
	MaxPerfMapBytes int64
	// DebugDirs are the directories of separate debug files (default
	// /usr/lib/debug), below the target's root first, then the host's.
	DebugDirs []string
	// Lines looks up file, line and inlined functions of the program's own
	// modules in DWARF data up to 64 MiB. Go's lines come from its own table and are always given.
	Lines bool
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
	// Stuck counts reads of a process that hung; see package procread.
	Stuck uint64
	// Refreshes counts maps read again because of an unknown address.
	Refreshes uint64
	// ModuleLoads, ModuleEvictions and UnreadableModules count what became
	// of files.
	ModuleLoads, ModuleEvictions, UnreadableModules uint64
	// ModuleRefusals counts modules not loaded because those of one walk
	// were beyond MaxModuleBytes; PerfMapEvictions perf maps dropped.
	ModuleRefusals, PerfMapEvictions uint64
	// Processes, Modules and CachedStacks are what is held now.
	Processes, Modules, CachedStacks int
	// ModuleBytes, StackBytes and PerfMapBytes estimate the memory held now.
	ModuleBytes, StackBytes, PerfMapBytes int64
}

// Unwinder turns stack copies into named stacks. It is safe for concurrent
// use; calls are served one at a time.
type Unwinder struct {
	mu   sync.Mutex
	opts Options
	arch *architecture
	// patient reads the memory map and the memory of processes; readMaps is
	// replaced in tests.
	patient   procread.Reader
	readMaps  func(pid int32) ([]byte, error)
	now       func() time.Time
	processes map[int32]*process
	modules   map[moduleKey]*module
	tick      uint64 // counts uses, to order them
	serial    uint64 // of the process made last
	refused   bool   // the walk under way met a module that was refused
	walkStart uint64 // tick at which the walk under way began
	stats     Stats
	lastError error
	places    []place
	stacks    map[uint64]*list.Element
	recent    *list.List // of *cachedStack, most recent first
}

// cachedStack is a symbolised walk.
type cachedStack struct {
	hash uint64
	// serial is the process's: the process itself may be forgotten.
	serial     uint64
	generation uint32
	addrs      []uint64
	stack      syscalltrace.Stack
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
		opts.MaxModuleBytes = 256 << 20
	}
	if opts.MaxStackBytes <= 0 {
		opts.MaxStackBytes = 64 << 20
	}
	if opts.MaxPerfMapBytes <= 0 {
		opts.MaxPerfMapBytes = 128 << 20
	}
	if opts.DebugDirs == nil {
		opts.DebugDirs = []string{"/usr/lib/debug"}
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	return &Unwinder{
		opts: opts, arch: hostArchitecture(), now: opts.Now, readMaps: readMaps,
		processes: map[int32]*process{}, modules: map[moduleKey]*module{},
		stacks: map[uint64]*list.Element{}, recent: list.New(),
	}
}

// Unwind walks the user stack of a thread of pid from regs, reading stack
// memory only from stackBytes, which were copied from regs.SP upwards, and
// names its frames, innermost first. The stack returned is shared with later
// calls: do not modify it. stackBytes are not kept. An error means that
// nothing is known of the process (it is gone, or not ours to read).
func (u *Unwinder) Unwind(pid int32, regs Registers, stackBytes []byte) (syscalltrace.Stack, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.walkStart, u.refused = u.tick+1, false
	p, err := u.process(pid)
	if err != nil {
		u.stats.Failed++
		return syscalltrace.Stack{}, err
	}
	r := u.initial(regs)
	mem := memory{base: regs.SP, data: stackBytes}
	places, complete := u.walk(p, &r, &mem, u.places[:0])
	u.places = places
	defer clear(places) // modules may be dropped
	u.knowCompiled(p, places)
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
			return c.stack, nil
		}
		u.dropStack(e)
	}
	st := u.symbolise(p, places, complete)
	u.keepStack(&cachedStack{hash: hash, serial: p.serial, generation: p.generation, stack: st}, places)
	return st, nil
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
	c.size = 256 + int64(len(c.addrs))*8 + int64(len(c.stack.Frames))*int64(unsafe.Sizeof(syscalltrace.Frame{}))
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
// mappings. Its stacks can be named even when it has ended before anybody could
// read its own.
func (u *Unwinder) Inherit(parent, child int32) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.walkStart = math.MaxUint64 // no walk is under way
	from, err := u.process(parent)
	if err != nil {
		return // the child's own are read, if there is time
	}
	u.serial++
	p := &process{
		serial: u.serial, pid: child, heir: parent, exe: from.exe, runtimeName: from.runtimeName,
		maps: slices.Clone(from.maps), mapsHash: from.mapsHash, read: u.now(),
		functions: from.functions, patience: firstRefresh, used: u.tick,
	}
	if from.heir != 0 {
		p.heir = from.heir // who forked a child is often gone before it
	}
	u.forget(child)
	u.add(p)
}

// Forget drops what is known of a process: call it when the process exits or
// executes another program.
func (u *Unwinder) Forget(pid int32) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.forget(pid)
}

func (u *Unwinder) forget(pid int32) {
	if p := u.processes[pid]; p != nil {
		// The count of its functions may be under way.
		p.maps, p.perf = nil, perfMap{}
		p.generation++
		delete(u.processes, pid)
	}
}

// Refresh reads the maps of a process again, at most once per second.
func (u *Unwinder) Refresh(pid int32) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.walkStart = math.MaxUint64
	if p := u.processes[pid]; p != nil && u.now().Sub(p.read) > refreshInterval {
		if u.readProcess(p) != nil {
			u.forget(pid)
		}
	}
}

// Functions is the number of functions in the program's own modules (system
// libraries and language runtimes left out); zero when they cannot be read.
// The first time it reads all of the modules; stacks are unwound meanwhile.
func (u *Unwinder) Functions(pid int32) int {
	u.mu.Lock()
	defer u.mu.Unlock()
	p, err := u.process(pid)
	if err != nil {
		return 0
	}
	if p.functions < 0 {
		u.countFunctions(p)
	}
	return max(p.functions, 0) + len(p.perf.symbols)
}

// countFunctions gives way between two modules. When the mappings change
// meanwhile it gives up, until it is asked again.
func (u *Unwinder) countFunctions(p *process) {
	var seen []*module
	count := 0
	for i, generation := 0, p.generation; i < len(p.maps); i++ {
		u.walkStart = math.MaxUint64 // no walk is under way
		mod := u.moduleFor(p, &p.maps[i])
		if mod != nil && mod.img != nil && mod.origin == syscalltrace.OriginApplication && !slices.Contains(seen, mod) {
			seen = append(seen, mod)
			count += mod.img.functions()
		}
		u.mu.Unlock()
		u.mu.Lock()
		if p.generation != generation {
			return
		}
	}
	p.functions = count
}

// BuildID is the build id of the process's program: kind is "gnu" (id in
// hexadecimal) or "go", and empty when it has none.
func (u *Unwinder) BuildID(pid int32) (kind, id string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.walkStart = math.MaxUint64 // no walk is under way
	p, err := u.process(pid)
	if err != nil {
		return "", ""
	}
	mod := u.program(p)
	switch {
	case mod == nil || mod.img == nil:
		return "", ""
	case mod.img.gnuID != "":
		return "gnu", mod.img.gnuID
	case mod.img.goID != "":
		return "go", strings.TrimRight(mod.img.goID, "\x00")
	}
	return "", ""
}

// Runtime names the language runtime of a process: "go", "jvm", "nodejs",
// "cpython", "ruby", "dotnet", or "" for plain native code.
func (u *Unwinder) Runtime(pid int32) string {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.walkStart = math.MaxUint64 // no walk is under way
	p, err := u.process(pid)
	if err != nil {
		return ""
	}
	return p.runtimeName
}

// Stats gives the counters and the present sizes.
func (u *Unwinder) Stats() Stats {
	u.mu.Lock()
	defer u.mu.Unlock()
	s := u.stats
	s.Processes, s.CachedStacks = len(u.processes), u.recent.Len()
	s.Modules, s.ModuleBytes, s.Stuck = 0, 0, u.patient.Stuck()
	for _, mod := range u.modules {
		if mod.img != nil {
			s.Modules++
			s.ModuleBytes += mod.bytes()
		}
	}
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
