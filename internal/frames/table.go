package frames

import (
	"cmp"
	"encoding/binary"
	"math"
	"slices"
	"strings"

	"github.com/perfscope/perfscope/internal/cleantext"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

const (
	// MaxStacks bounds the distinct stacks of one service. Beyond it a stack is
	// cut to its innermost function; beyond twice as many it is the empty stack.
	MaxStacks = 8192
	// maxFrames bounds the functions of one stack, from the innermost out:
	// deeper recursion repeats itself.
	maxFrames = 64
	// maxLibraries bounds the libraries told apart in one service.
	maxLibraries = 256
	// maxNames bounds the functions of one service (bytes), each of which takes its
	// names and functionSize; a further one is code without a name.
	maxNames, functionSize = 16 << 20, 160
)

// Function identifies a function across stacks.
type Function struct {
	Name, Module, File string
	Line               int32
}

// Nameless reports whether the function is known by its address only.
func (f Function) Nameless() bool { return strings.HasPrefix(f.Name, f.Module+"+0x") }

// unknown follows the module in the name of code that has not even an address to tell it by.
const unknown = "+0x?"

// Unknown reports whether a function is code that has not even an address to tell it by, as
// what is compiled at run time has: who called it is not known.
func (f Function) Unknown() bool { return f.Name == f.Module+unknown }

// Tier says whose code the functions of a stack are.
type Tier uint8

const (
	// Application is the program's own code and that of its plugins.
	Application Tier = iota
	// Platform is code of libraries, runtimes and interpreters, on stacks that
	// have none of the application's.
	Platform
)

// Stack is what a user stack tells.
type Stack struct {
	// Frames index Table.Function, innermost first, each function once: those of
	// the application, or the platform's where there are none of the application's.
	// Empty when the stack has neither.
	Frames []int32
	Tier   Tier
	// Runtime is set when all of a stack of the platform is a runtime's or an
	// interpreter's: its collector of garbage, its compiler, its scheduler.
	Runtime bool
	// Lock is set when the thread waits for, or spins for, a lock; Spin when it
	// does the latter.
	Lock, Spin bool
	// Sleep is set when the thread sleeps, by whatever call its runtime does that.
	Sleep bool
	// Inferred is set when no stack was there and the functions were told by the
	// calls that were made; Doubt is how often that is wrong, at most.
	Inferred bool
	Doubt    float64
	// Library is the library that the innermost function calls, or, on a stack of
	// the platform, the one that the thread belongs to. It counts from one, zero
	// is none, or the C library.
	Library int32
	// Wrapper is set when the innermost function does no more than wait, by its
	// name: it is the program's own fsync or usleep.
	Wrapper bool
	// Direct is set when the innermost frame of all is Frames[0]'s own.
	Direct bool
	// Hidden counts the functions without a name inside the innermost one.
	Hidden int
	// Partial is set when functions are missing because they were interpreted, or
	// have no name yet: once they are compiled, the same place has more.
	Partial bool
	// place has all frames where a JIT compiler is at work; of InternPlace.
	place []placeFrame
	// plain is the same stack without its place, zero when that is this one.
	plain uint32
}

// Table interns the stacks of one service. Identifiers count from one; zero is
// the empty stack. It is not safe for concurrent use.
type Table struct {
	byKey     map[string]uint32
	stacks    []Stack
	byName    map[[2]string]int32
	functions []Function
	// runtimes says of each function whether it is a runtime's.
	runtimes  []bool
	libraries map[string]int32
	names     int // bytes of the functions
	// mostStacks and mostNames bound the two, as MaxStacks and maxNames do.
	mostStacks, mostNames int
	key                   []byte
	frames                []int32
	place                 []placeFrame
}

// NewTable returns an empty table.
func NewTable() *Table { return newTable(MaxStacks, maxNames) }

func newTable(stacks, names int) *Table {
	return &Table{
		byKey: map[string]uint32{}, stacks: make([]Stack, 1), byName: map[[2]string]int32{}, libraries: map[string]int32{},
		mostStacks: stacks, mostNames: names,
	}
}

// Frozen returns a table to read from while this one grows: it has the stacks and
// functions of now, shares them, and interns nothing. What a table has never changes,
// so the two may be used side by side.
func (t *Table) Frozen() *Table {
	return &Table{
		stacks: t.stacks[:len(t.stacks):len(t.stacks)], functions: t.functions[:len(t.functions):len(t.functions)],
		runtimes: t.runtimes[:len(t.runtimes):len(t.runtimes)],
	}
}

// Functions are all of the table, by their index. They must not be changed.
func (t *Table) Functions() []Function { return t.functions }

// Len is the number of distinct stacks.
func (t *Table) Len() int { return len(t.stacks) - 1 }

// FunctionBytes estimates the memory that the functions take.
func (t *Table) FunctionBytes() int { return t.names }

// Unread reports whether an interpreter runs code of the program on a stack that does not
// say which: its frames could not be read in time.
func (t *Table) Unread(s *Stack) bool {
	return slices.ContainsFunc(s.Frames, func(f int32) bool { return loops[t.functions[f].Name] })
}

// Function returns what an index in Stack.Frames stands for.
func (t *Table) Function(i int32) Function { return t.functions[i] }

// IsRuntime reports whether a function is of a runtime or an interpreter.
func (t *Table) IsRuntime(i int32) bool { return t.runtimes[i] }

// Lookup is the index of a function, false when it was never seen.
func (t *Table) Lookup(name, module string) (int32, bool) {
	id, ok := t.byName[[2]string{module, name}]
	return id, ok
}

// Direct reports whether the innermost function was itself running, not code of a
// library or runtime that it called.
func (t *Table) Direct(id uint32) bool { return t.stacks[id].Direct }

// Get returns a stack by its identifier.
func (t *Table) Get(id uint32) *Stack { return &t.stacks[id] }

// Plain returns the identifier that Intern gives for a stack of InternPlace.
func (t *Table) Plain(id uint32) uint32 { return cmp.Or(t.stacks[id].plain, id) }

// Leaf is the innermost function of a stack, false when it has none.
func (t *Table) Leaf(id uint32) (int32, bool) {
	if f := t.stacks[id].Frames; len(f) > 0 {
		return f[0], true
	}
	return 0, false
}

// Role is the outermost function of a stack, where its thread starts; false
// when it has none.
func (t *Table) Role(id uint32) (int32, bool) {
	if f := t.stacks[id].Frames; len(f) > 0 {
		return f[len(f)-1], true
	}
	return 0, false
}

// Intern returns the identifier of a stack; zero when it has no frames.
func (t *Table) Intern(stack *threadtrace.Stack) uint32 {
	if len(stack.Frames) == 0 {
		return 0
	}
	s := t.application(stack)
	if !t.named(s.Frames) {
		t.platform(stack, &s)
	}
	if t.Len() >= t.mostStacks && len(s.Frames) > 1 {
		s.Frames = s.Frames[:1]
	}
	return t.put(s)
}

// application reads a stack for the functions of the application.
func (t *Table) application(stack *threadtrace.Stack) (s Stack) {
	t.frames = t.frames[:0]
	library, callee := "", ""
	for i := range stack.Frames {
		f := &stack.Frames[i]
		if f.Origin == threadtrace.OriginUnknown || interpreted(f) {
			s.Partial = true
			if len(t.frames) == 0 {
				s.Hidden++
			}
		}
		if f.Origin != threadtrace.OriginApplication {
			if len(t.frames) == 0 {
				name, _, _ := strings.Cut(f.Function, "@")
				lock, spin := lockOf(name)
				s.Lock, s.Spin, s.Sleep = s.Lock || lock, s.Spin || spin, s.Sleep || sleeps(name)
				if f.Origin == threadtrace.OriginLibrary {
					library = libraryOf(f) // the outermost
				}
				callee = name
			}
			continue
		}
		t.add(f)
	}
	s.Frames = t.frames
	s.Direct = len(t.frames) > 0 && callee == "" && s.Hidden == 0
	s.Library = t.library(library)
	s.Wrapper = t.wrapper(s.Frames, callee)
	return s
}

func (t *Table) named(functions []int32) bool {
	return slices.ContainsFunc(functions, func(f int32) bool { return !t.functions[f].Nameless() })
}

// platform adds the functions of libraries and runtimes to those of a stack that has
// none of the application's with a name: a thread of a library's pool, an
// interpreter, a thin main around libraries of its own.
func (t *Table) platform(stack *threadtrace.Stack, s *Stack) {
	if len(t.frames) == 0 {
		s.Tier = Platform
		s.Hidden = 0
	}
	t.frames = t.frames[:0]
	s.Runtime = true
	callee := ""
	for i := range stack.Frames {
		f := &stack.Frames[i]
		switch {
		case speaks(f):
			t.add(f)
			s.Runtime = s.Runtime && f.Origin == threadtrace.OriginRuntime
		case len(t.frames) == 0:
			callee, _, _ = strings.Cut(f.Function, "@")
		}
	}
	s.Wrapper = t.wrapper(t.frames, callee)
	if len(t.frames) == 0 {
		// Code without a name is still code that runs, or waits.
		for i := range stack.Frames {
			if f := &stack.Frames[i]; f.Origin == threadtrace.OriginUnknown {
				t.add(&threadtrace.Frame{Function: f.Module + unknown, Module: f.Module})
				break
			}
		}
	}
	s.Frames = t.frames
}

// add appends a function to the stack at hand, once. Inlined code has no boundary
// of its own at run time: the symbol that holds it stands for it. A native method is one
// function with what a virtual machine compiles to call it.
func (t *Table) add(f *threadtrace.Frame) {
	if f.Inlined || len(t.frames) == maxFrames {
		return
	}
	id := t.function(f)
	if n := len(t.frames); n > 0 && t.functions[id].Compiled() && t.functions[t.frames[n-1]].Name == t.functions[id].Name {
		return
	}
	if !slices.Contains(t.frames, id) {
		t.frames = append(t.frames, id)
	}
}

// InternPlace is Intern for the stack of a wait. Where a JIT compiler is at work it
// tells apart what differs in any frame: which functions have names says little of
// where a thread waits.
func (t *Table) InternPlace(stack *threadtrace.Stack) uint32 {
	id := t.Intern(stack)
	if id == 0 || t.Len() >= t.mostStacks {
		return id
	}
	place := t.placeOf(stack)
	if place == nil {
		return id
	}
	at := t.stacks[id]
	at.place, at.plain = place, id
	return t.put(at)
}

// Infer returns the identifier of a stack of functions that were told by calls,
// innermost first; zero when there are none, or no room.
func (t *Table) Infer(functions []Function, doubt float64) uint32 {
	if len(functions) == 0 || t.Len() >= t.mostStacks {
		return 0
	}
	t.frames = t.frames[:0]
	for _, f := range functions {
		t.frames = append(t.frames, t.function(&threadtrace.Frame{Function: f.Name, Module: f.Module}))
	}
	return t.put(Stack{Frames: t.frames, Inferred: true, Doubt: doubt})
}

// put gives a stack its identifier; its frames and place are copied.
func (t *Table) put(s Stack) uint32 {
	t.key = s.appendKey(t.key[:0])
	if id, ok := t.byKey[string(t.key)]; ok {
		return id
	}
	if t.Len() >= 2*t.mostStacks {
		return 0
	}
	id := uint32(len(t.stacks)) //nolint:gosec // bounded above
	s.Frames = append([]int32(nil), s.Frames...)
	s.place = slices.Clone(s.place)
	t.stacks = append(t.stacks, s)
	t.byKey[string(t.key)] = id
	return id
}

// truths are the marks of a stack, in an order that is written.
func (s *Stack) truths() [8]*bool {
	return [...]*bool{&s.Lock, &s.Spin, &s.Inferred, &s.Wrapper, &s.Partial, &s.Direct, &s.Runtime, &s.Sleep}
}

// flags are the tier and the marks in one number.
func (s *Stack) flags() uint16 {
	flags := uint16(s.Tier)
	for i, set := range s.truths() {
		if *set {
			flags |= 2 << i
		}
	}
	return flags
}

func (s *Stack) setFlags(flags uint16) {
	s.Tier = Tier(flags & 1)
	for i, set := range s.truths() {
		*set = flags&(2<<i) != 0
	}
}

// appendKey writes all that tells two stacks apart, in fixed widths.
func (s *Stack) appendKey(key []byte) []byte {
	key = binary.LittleEndian.AppendUint16(key, s.flags())
	key = binary.LittleEndian.AppendUint64(key, math.Float64bits(s.Doubt))
	key = binary.LittleEndian.AppendUint32(key, uint32(s.Library))     //nolint:gosec // a key
	key = binary.LittleEndian.AppendUint32(key, uint32(s.Hidden))      //nolint:gosec // a key
	key = binary.LittleEndian.AppendUint32(key, uint32(len(s.Frames))) //nolint:gosec // a key
	for _, f := range s.Frames {
		key = binary.LittleEndian.AppendUint32(key, uint32(f)) //nolint:gosec // a key
	}
	for _, f := range s.place {
		key = f.appendKey(key)
	}
	return key
}

func (t *Table) library(name string) int32 {
	if name == "" {
		return 0
	}
	name = cut(name, cleantext.MaxFunction)
	id, ok := t.libraries[name]
	if !ok && len(t.libraries) < maxLibraries {
		id = int32(len(t.libraries) + 1) //nolint:gosec // bounded above
		t.libraries[name] = id
	}
	return id
}

// cut bounds a name: records of calls may come from anywhere.
func cut(name string, most int) string {
	if len(name) <= most {
		return name
	}
	return cleantext.Clean(name, most)
}

func (t *Table) function(f *threadtrace.Frame) int32 {
	// Go's compiler wraps a method that is used as a value; its tracebacks leave that out.
	name := strings.TrimSuffix(f.Function, "-fm")
	if method, ok := jniName(name); ok {
		name = method
	}
	before := len(t.functions)
	id := t.functionNamed(name, f.Module, f.File, f.Line)
	if int(id) == before { // new
		t.runtimes[id] = f.Origin == threadtrace.OriginRuntime
	}
	return id
}

func (t *Table) functionNamed(name, module, file string, line int32) int32 {
	key := [2]string{cut(module, cleantext.MaxFunction), cut(name, cleantext.MaxFunction)}
	if id, ok := t.byName[key]; ok {
		return id
	}
	file = cut(file, cleantext.MaxPath)
	size := functionSize + len(key[0]) + len(key[1]) + len(file)
	if t.names+size > t.mostNames {
		key, file, line = [2]string{"", unknown}, "", 0
		if id, ok := t.byName[key]; ok {
			return id
		}
		size = 0
	}
	t.names += size
	id := int32(len(t.functions)) //nolint:gosec // bounded by the stacks
	t.functions = append(t.functions, Function{Name: key[1], Module: key[0], File: file, Line: line})
	t.runtimes = append(t.runtimes, false)
	t.byName[key] = id
	return id
}
