package frames

import (
	"fmt"
	"slices"
	"strings"
)

// Saved is stacks in a form that outlives their table: it can be written, and read
// into another table, where the same stacks have other identifiers.
type Saved struct {
	Functions []SavedFunction
	Libraries []string
	Stacks    []SavedStack
}

// SavedFunction is a function of Saved.
type SavedFunction struct {
	Name, Module, File string
	Line               int32
	Runtime            bool
}

// SavedStack is a stack of Saved. Frames and the functions of Place index
// Saved.Functions, Library counts in Saved.Libraries from one.
type SavedStack struct {
	Frames  []int32
	Flags   uint16
	Doubt   float64
	Library int32
	Hidden  int32
	Place   []SavedFrame
}

// SavedFrame is a frame of a place. Function counts from one, zero is none.
type SavedFrame struct {
	Function                   int32
	JIT, Compiled, Application bool
}

// Saver gathers stacks of a table.
type Saver struct {
	table     *Table
	Saved     Saved
	stacks    map[uint32]uint32
	functions map[int32]int32
	libraries map[int32]int32
	names     map[int32]string
}

// NewSaver begins to gather stacks of a table, which must not grow meanwhile.
func NewSaver(t *Table) *Saver {
	s := &Saver{table: t, stacks: map[uint32]uint32{}, functions: map[int32]int32{}, libraries: map[int32]int32{}, names: map[int32]string{}}
	for name, id := range t.libraries {
		s.names[id] = name
	}
	return s
}

// Stack is the number that a stack has in Saved; like identifiers they count from
// one, and zero is the empty stack.
func (s *Saver) Stack(id uint32) uint32 {
	if id == 0 {
		return 0
	}
	n, ok := s.stacks[id]
	if !ok {
		from := s.table.Get(id)
		to := SavedStack{Flags: from.flags(), Doubt: from.Doubt, Library: s.library(from.Library), Hidden: int32(min(from.Hidden, maxFrames))} //nolint:gosec // bounded
		for _, f := range from.Frames {
			to.Frames = append(to.Frames, s.Function(f))
		}
		for _, p := range from.place {
			f := SavedFrame{JIT: p.jit, Compiled: p.compiled, Application: p.application}
			if p.function > 0 {
				f.Function = 1 + s.Function(p.function-1)
			}
			to.Place = append(to.Place, f)
		}
		s.Saved.Stacks = append(s.Saved.Stacks, to)
		n = uint32(len(s.Saved.Stacks)) //nolint:gosec // bounded by the table
		s.stacks[id] = n
	}
	return n
}

// Function is the number that a function has in Saved.
func (s *Saver) Function(id int32) int32 {
	n, ok := s.functions[id]
	if !ok {
		f := s.table.functions[id]
		n = int32(len(s.Saved.Functions)) //nolint:gosec // bounded by the table
		s.Saved.Functions = append(s.Saved.Functions, SavedFunction{Name: f.Name, Module: f.Module, File: f.File, Line: f.Line, Runtime: s.table.runtimes[id]})
		s.functions[id] = n
	}
	return n
}

func (s *Saver) library(id int32) int32 {
	if id == 0 {
		return 0
	}
	n, ok := s.libraries[id]
	if !ok {
		s.Saved.Libraries = append(s.Saved.Libraries, s.names[id])
		n = int32(len(s.Saved.Libraries)) //nolint:gosec // bounded by the table
		s.libraries[id] = n
	}
	return n
}

// Renamed is the same with functions of one module as those of another: a program that
// is called otherwise than it was. Functions are copied, stacks are shared.
func (s Saved) Renamed(from, to string) Saved {
	if from == to || from == "" || to == "" {
		return s
	}
	s.Functions = slices.Clone(s.Functions)
	for i := range s.Functions {
		f := &s.Functions[i]
		if f.Module == from {
			f.Module = to
			if rest, ok := strings.CutPrefix(f.Name, from+"+0x"); ok {
				f.Name = to + "+0x" + rest
			}
		}
	}
	return s
}

// Check reports the first number in Saved that means nothing.
func (s *Saved) Check() error {
	if len(s.Stacks) > 2*MaxStacks || len(s.Libraries) > maxLibraries {
		return fmt.Errorf("%d stacks of %d libraries are more than a service has", len(s.Stacks), len(s.Libraries))
	}
	function := func(f int32) bool { return f >= 0 && int(f) < len(s.Functions) }
	for i := range s.Stacks {
		st := &s.Stacks[i]
		if len(st.Frames) > maxFrames || len(st.Place) > maxFrames || st.Hidden < 0 || st.Library < 0 || int(st.Library) > len(s.Libraries) {
			return fmt.Errorf("stack %d has numbers that no stack has", i)
		}
		for _, f := range st.Frames {
			if !function(f) {
				return fmt.Errorf("stack %d names function %d of %d", i, f, len(s.Functions))
			}
		}
		for _, p := range st.Place {
			if p.Function != 0 && !function(p.Function-1) {
				return fmt.Errorf("stack %d names function %d of %d", i, p.Function-1, len(s.Functions))
			}
		}
	}
	return nil
}

// Restored says which identifiers what was saved has in a table.
type Restored struct {
	// Stacks is by the number in Saved, with the empty stack at zero, Functions
	// likewise.
	Stacks    []uint32
	Functions []int32
}

// Restore reads what was saved, and was checked, into the table. A stack for which
// there is no room is the empty one.
func (t *Table) Restore(s *Saved) Restored {
	r := Restored{Stacks: make([]uint32, 1, 1+len(s.Stacks)), Functions: make([]int32, len(s.Functions))}
	for i := range s.Functions {
		f := &s.Functions[i]
		r.Functions[i] = t.restoreFunction(f)
	}
	for i := range s.Stacks {
		r.Stacks = append(r.Stacks, t.restoreStack(&s.Stacks[i], s, r.Functions))
	}
	return r
}

func (t *Table) restoreFunction(f *SavedFunction) int32 {
	before := len(t.functions)
	id := t.functionNamed(f.Name, f.Module, f.File, f.Line)
	if int(id) == before { // new
		t.runtimes[id] = f.Runtime
	}
	return id
}

func (t *Table) restoreStack(from *SavedStack, s *Saved, functions []int32) uint32 {
	to := Stack{Doubt: from.Doubt, Hidden: int(from.Hidden)}
	to.setFlags(from.Flags)
	if from.Library > 0 {
		to.Library = t.library(s.Libraries[from.Library-1])
	}
	for _, f := range from.Frames {
		to.Frames = append(to.Frames, functions[f])
	}
	plain := t.put(to)
	if len(from.Place) == 0 || plain == 0 {
		return plain
	}
	for _, p := range from.Place {
		f := placeFrame{jit: p.JIT, compiled: p.Compiled, application: p.Application}
		if p.Function > 0 {
			f.function = 1 + functions[p.Function-1]
		}
		to.place = append(to.place, f)
	}
	to.plain = plain
	return t.put(to)
}
