package suspect

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/perfscope/perfscope/internal/syscalltrace"
)

const (
	// MaxStacks bounds the distinct stacks remembered of one service. A stack
	// beyond it is cut to its innermost application function.
	MaxStacks = 8192
	// maxFrames bounds the application functions of one stack, from the
	// innermost out: deeper recursion repeats itself.
	maxFrames = 64
)

// Function identifies a function across stacks.
type Function struct {
	Name, Module, File string
	Line               int32
}

// Nameless reports whether the function is known by its address only.
func (f Function) Nameless() bool { return strings.HasPrefix(f.Name, f.Module+"+0x") }

// Stack is what a user stack says of application code.
type Stack struct {
	// Frames index Stacks.Function, innermost application function first,
	// each function once; those of shared libraries where no application code is
	// on the stack. Empty when neither is.
	Frames []int32
	// Lock is set when the thread is inside a lock primitive, which is
	// never a wait for something to do.
	Lock bool
	// Inferred is set when no stack was there, and the functions were told by the
	// calls that were made; Doubt is then how often that is wrong, at most.
	Inferred bool
	Doubt    float64
	// Library is the library that the innermost application function calls, or,
	// where no application code is on the stack, the one that the thread belongs
	// to; an index that counts from one, zero when it is none or the C library.
	Library int32
	// Shared is set when Frames are of shared libraries.
	Shared bool
	// Wrapper is set when the innermost function does no more than wait, by its
	// name: it is the program's own fsync or usleep.
	Wrapper bool
	// Hidden is how many functions without a name are inside the innermost one:
	// interpreted, or not known yet.
	Hidden int
	// Partial is set when functions are missing because they were interpreted
	// or have no name yet: once they are compiled, the same place has more.
	Partial bool
	// place has all frames, where a JIT compiler is at work; of InternPlace.
	place []frame
	// plain is the same stack without its place, zero when that is this one.
	plain uint32
}

// Same reports whether a stack may be of the same place as an earlier one:
// equal, or, where functions are missing, it has those of the earlier and
// more, up to the same innermost, since callers got names meanwhile; or some of
// them, since callees became part of their callers; or all frames fit (see
// samePlace).
func (s *Stack) Same(earlier *Stack) bool {
	a, b := s.Frames, earlier.Frames
	if slices.Equal(a, b) {
		return true
	}
	if samePlace(earlier.place, s.place) {
		return true
	}
	if !s.Partial && !earlier.Partial || len(a) == 0 || len(b) == 0 {
		return false
	}
	if len(a) > len(b) {
		if a[0] != b[0] {
			return false
		}
		a, b = b, a
	}
	for _, f := range b {
		if len(a) > 0 && a[0] == f {
			a = a[1:]
		}
	}
	return len(a) == 0
}

// Stacks interns the stacks of one service. Identifiers count from one.
type Stacks struct {
	byKey     map[string]uint32
	stacks    []Stack
	byName    map[string]int32
	functions []Function
	libraries map[string]int32
	key       []byte
	frames    []int32
	place     []frame
}

// NewStacks returns an empty table.
func NewStacks() *Stacks {
	return &Stacks{byKey: map[string]uint32{}, stacks: make([]Stack, 1), byName: map[string]int32{}, libraries: map[string]int32{}}
}

// Len is the number of distinct stacks; Functions that of functions.
func (s *Stacks) Len() int { return len(s.stacks) - 1 }

// Function returns what an index in Stack.Frames stands for.
func (s *Stacks) Function(i int32) Function { return s.functions[i] }

// Get returns a stack by its identifier; the empty stack for zero.
func (s *Stacks) Get(id uint32) *Stack { return &s.stacks[id] }

// Plain returns the identifier that Intern gives for a stack of InternPlace.
func (s *Stacks) Plain(id uint32) uint32 { return cmp.Or(s.stacks[id].plain, id) }

// lockPrimitives are where POSIX and Java threads wait for each other, not for
// work. Condition variables are left out: that is how pools wait for work.
var lockPrimitives = map[string]bool{
	"pthread_mutex_lock": true, "__pthread_mutex_lock": true, "___pthread_mutex_lock": true,
	"pthread_mutex_timedlock": true, "pthread_mutex_clocklock": true,
	"pthread_rwlock_rdlock": true, "pthread_rwlock_wrlock": true,
	"__pthread_rwlock_rdlock": true, "__pthread_rwlock_wrlock": true,
	"___pthread_rwlock_rdlock": true, "___pthread_rwlock_wrlock": true,
	"pthread_spin_lock": true, "__lll_lock_wait": true, "__lll_lock_wait_private": true,
	"ObjectMonitor::enter": true, "ObjectMonitor::EnterI": true, "ObjectMonitor::ReenterI": true,
	"java.util.concurrent.locks.AbstractQueuedSynchronizer.acquire":       true,
	"java.util.concurrent.locks.AbstractQueuedSynchronizer.acquireQueued": true,
	"java.util.concurrent.locks.AbstractQueuedSynchronizer.acquireShared": true,
	"pthread_join": true, "__pthread_clockjoin_ex": true, "pthread_barrier_wait": true,
}

// Intern returns the identifier of a stack; zero when it has no frames.
func (s *Stacks) Intern(stack *syscalltrace.Stack) uint32 {
	if len(stack.Frames) == 0 {
		return 0
	}
	s.frames = s.frames[:0]
	lock, partial, library, callee, hidden := false, false, "", "", 0
frames:
	for i := range stack.Frames {
		f := &stack.Frames[i]
		if f.Origin == syscalltrace.OriginUnknown || interpreted(f) {
			partial = true
			if len(s.frames) == 0 {
				hidden++
			}
		}
		if f.Origin != syscalltrace.OriginApplication && len(s.frames) == 0 {
			name, _, _ := strings.Cut(f.Function, "@")
			lock = lock || lockPrimitives[name]
			if f.Origin == syscalltrace.OriginLibrary {
				library = libraryOf(f) // the outermost
			}
			callee = name
		}
		// Inlined code has no boundary of its own at run time: the symbol
		// that holds it is credited.
		if f.Origin != syscalltrace.OriginApplication || f.Inlined || len(s.frames) == maxFrames {
			continue
		}
		id := s.function(f)
		for _, seen := range s.frames {
			if seen == id {
				continue frames
			}
		}
		s.frames = append(s.frames, id)
	}
	shared := false
	if len(s.frames) == 0 && stack.Complete {
		callee = s.sharedLibraries(stack)
		shared = len(s.frames) > 0
	}
	if shared {
		library = "" // it is the application here
	}
	if s.Len() >= MaxStacks && len(s.frames) > 1 {
		s.frames = s.frames[:1]
	}
	wrapper := len(s.frames) > 1 && wraps(s.functions[s.frames[0]].Name, callee)
	return s.put(Stack{Frames: s.frames, Lock: lock, Library: s.library(library), Partial: partial, Shared: shared, Wrapper: wrapper, Hidden: hidden})
}

// Nobodys is the identifier of a stack without its functions.
func (s *Stacks) Nobodys(id uint32) uint32 {
	return s.put(Stack{Lock: s.stacks[id].Lock, Partial: s.stacks[id].Partial})
}

// wraps reports whether a function is named for the wait it calls: my_sync for
// fdatasync, Utility::usleep for clock_nanosleep.
func wraps(function, callee string) bool {
	function, _, _ = strings.Cut(function, "(")
	function = strings.ToLower(function[max(strings.LastIndexByte(function, ':'), strings.LastIndexByte(function, '.'))+1:])
	function = strings.ReplaceAll(function, "async", "")
	for _, wait := range []string{"sync", "sleep"} {
		if strings.Contains(callee, wait) && strings.Contains(function, wait) {
			return true
		}
	}
	return false
}

// sharedLibraries takes the functions of shared libraries for the application's
// where the whole stack has none of those: many a server is a thin main around
// libraries of its own (BIND's named), which nothing tells from others'. It returns
// what the innermost of them calls.
func (s *Stacks) sharedLibraries(stack *syscalltrace.Stack) (callee string) {
	for i := range stack.Frames {
		f := &stack.Frames[i]
		switch {
		case f.Origin == syscalltrace.OriginLibrary && !f.Inlined && strings.Contains(f.Module, ".so") && libraryOf(f) != "":
			if id := s.function(f); len(s.frames) < maxFrames && !slices.Contains(s.frames, id) {
				s.frames = append(s.frames, id)
			}
		case len(s.frames) == 0:
			callee = f.Function
		}
	}
	return callee
}

// maxLibraries bounds the libraries told apart in one service.
const maxLibraries = 256

// libraryOf is the name of the library that a function is of: a package of
// Go's, which is part of the program, or a shared one. The C library, which all
// the others call, is none, and neither is what a virtual machine brings.
func libraryOf(f *syscalltrace.Frame) string {
	switch {
	case strings.HasPrefix(f.Module, "["), strings.HasPrefix(f.Module, "ld-"), strings.HasPrefix(f.Module, "libc."),
		strings.HasPrefix(f.Module, "libc-"), strings.HasPrefix(f.Module, "libpthread"), strings.HasPrefix(f.Module, "libstdc++"):
		return ""
	case strings.Contains(f.Module, ".so"):
		return f.Module
	}
	slash := strings.LastIndexByte(f.Function, '/') + 1
	dot := strings.IndexByte(f.Function[slash:], '.')
	if dot <= 0 {
		return ""
	}
	return f.Function[:slash+dot]
}

func (s *Stacks) library(name string) int32 {
	if name == "" {
		return 0
	}
	id, ok := s.libraries[name]
	if !ok && len(s.libraries) < maxLibraries {
		id = int32(len(s.libraries) + 1) //nolint:gosec // bounded above
		s.libraries[name] = id
	}
	return id
}

// InternPlace is Intern for the stack of a wait. Where a JIT compiler is at work it
// tells apart what differs in any frame: which functions have names says little of
// where a thread waits.
func (s *Stacks) InternPlace(stack *syscalltrace.Stack) uint32 {
	id := s.Intern(stack)
	if id == 0 || s.Len() >= MaxStacks {
		return id
	}
	place := s.placeOf(stack)
	if place == nil {
		return id
	}
	at := s.stacks[id]
	at.place, at.plain = place, id
	return s.put(at)
}

// Infer returns the identifier of a stack of functions that were told by calls,
// innermost first; zero when there are none, or no room.
func (s *Stacks) Infer(functions []Function, doubt float64) uint32 {
	if len(functions) == 0 || s.Len() >= MaxStacks {
		return 0
	}
	s.frames = s.frames[:0]
	for _, f := range functions {
		s.frames = append(s.frames, s.function(&syscalltrace.Frame{Function: f.Name, Module: f.Module}))
	}
	return s.put(Stack{Frames: s.frames, Inferred: true, Doubt: doubt})
}

// put gives a stack its identifier; its frames and place are copied.
func (s *Stacks) put(stack Stack) uint32 {
	s.key = s.key[:0]
	if stack.Inferred {
		s.key = append(s.key, 'I')
	}
	if stack.Lock {
		s.key = append(s.key, 'L')
	}
	if stack.Partial {
		s.key = append(s.key, 'P')
	}
	if stack.Wrapper {
		s.key = append(s.key, 'W')
	}
	if stack.Hidden > 0 {
		s.key = append(strconv.AppendInt(append(s.key, 'H'), int64(stack.Hidden), 36), ' ')
	}
	if stack.Library != 0 {
		s.key = append(strconv.AppendInt(append(s.key, 'B'), int64(stack.Library), 36), ' ')
	}
	for _, f := range stack.Frames {
		s.key = strconv.AppendInt(s.key, int64(f), 36)
		s.key = append(s.key, ' ')
	}
	for _, f := range stack.place {
		kind := byte('/')
		if f.compiled {
			kind = 'C'
		} else if f.jit {
			kind = 'i'
		}
		s.key = append(s.key, kind)
		s.key = strconv.AppendInt(s.key, int64(f.function), 36)
	}
	if id, ok := s.byKey[string(s.key)]; ok {
		return id
	}
	if s.Len() >= 2*MaxStacks {
		return 0
	}
	id := uint32(len(s.stacks))
	stack.Frames = append([]int32(nil), stack.Frames...)
	stack.place = slices.Clone(stack.place)
	s.stacks = append(s.stacks, stack)
	s.byKey[string(s.key)] = id
	return id
}

func (s *Stacks) function(f *syscalltrace.Frame) int32 {
	key := f.Module + "\x00" + f.Function
	if id, ok := s.byName[key]; ok {
		return id
	}
	id := int32(len(s.functions))
	s.functions = append(s.functions, Function{Name: f.Function, Module: f.Module, File: f.File, Line: f.Line})
	s.byName[key] = id
	return id
}
