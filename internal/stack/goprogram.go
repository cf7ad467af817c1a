package stack

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/perfscope/perfscope/internal/cleantext"
)

// goVersion reads the release that built a program (debug/buildinfo has the format
// since Go 1.18); empty when it does not say.
func goVersion(a *allowance, f *elf.File) string {
	const (
		header     = 32 // where the version's length is
		inline     = 2  // the flag that it follows
		flags      = 15
		maxInfo    = 1 << 20
		maxVersion = 64
	)
	info := section(a, f, ".go.buildinfo", maxInfo)
	a.give(uint64(len(info)))
	if len(info) < header || !bytes.HasPrefix(info, []byte("\xff Go buildinf:")) || info[flags]&inline == 0 {
		return ""
	}
	n, size := binary.Uvarint(info[header:])
	if size <= 0 || n > maxVersion || n > uint64(len(info)-header-size) {
		return ""
	}
	return cleantext.Clean(string(info[header+size:header+size+int(n)]), maxVersion) //nolint:gosec // bounded
}

// GoFunction is a function of a Go program, as it is in the memory of a process.
type GoFunction struct {
	// Start and End bound its code.
	Start, End uint64
	// Version is the Go release that built the program ("go1.26.1").
	Version string
}

// ErrNotGo is that a process's program is not Go's, or does not say what is asked.
var ErrNotGo = errors.New("not a Go program with a table of functions")

// GoFunction finds a function of a process's program by its name in Go's own table,
// which is there without symbols, too. It may take as long as the reading of files
// takes.
func (u *Unwinder) GoFunction(pid int32, name string) (found GoFunction, err error) {
	var failure error
	err = u.patiently(pid, maxWork, func(p *process) {
		found, failure = u.goFunction(p, name)
	})
	if err == nil {
		err = failure
	}
	return found, err
}

func (u *Unwinder) goFunction(p *process, name string) (found GoFunction, err error) {
	mod := u.program(p)
	if u.wants() {
		return found, nil
	}
	if mod == nil || !mod.isGo {
		return found, ErrNotGo
	}
	fn, known := mod.goFunctions[name]
	switch img := u.tables(p, p.program(), mod); {
	case known:
	case img != nil && img.goTable != nil:
		u.want = u.readGoFunction(p, mod, name)
		return found, nil
	case u.deferred:
		return found, ErrDeferred
	default:
		return found, ErrNotGo // or it is wanted first
	}
	if fn.start == 0 {
		return found, fmt.Errorf("%w: it has no %s", ErrNotGo, name)
	}
	start, ok := p.addressOf(mod, fn.start)
	if !ok {
		return found, fmt.Errorf("%w: %s is not mapped", ErrNotGo, name)
	}
	return GoFunction{Start: start, End: start + fn.end - fn.start, Version: mod.goVersion}, nil
}

// readGoFunction finds a function by its name in the table of a Go program; it is kept,
// or that there is none.
func (u *Unwinder) readGoFunction(p *process, mod *module, name string) work {
	m := p.program()
	at, mapped, table := p.mappedIn(), *m, mod.img.goTable
	return func() func() {
		var found span
		u.loading <- struct{}{} // the names take memory, too
		defer func() { <-u.loading }()
		f, err := u.openModuleFile(at, &mapped, mod)
		if err == nil {
			found = table.in(f).named(newAllowance(u.cpu), name)
			_ = f.Close()
		}
		return func() {
			if err != nil {
				u.failure = fmt.Errorf("module %s of process %d: %w", mapped.path, at.pid, err)
				return
			}
			if mod.goFunctions == nil {
				mod.goFunctions = map[string]span{}
			}
			mod.goFunctions[name] = found
		}
	}
}

// named is where a function with a name is, as linked; empty when there is none.
func (t *goTable) named(a *allowance, name string) (found span) {
	wanted := append([]byte(name), 0)
	t.each(a, func(i int, names []byte) bool {
		if bytes.HasPrefix(names, wanted) {
			found = span{t.entry(i), t.entry(i + 1)}
		}
		return found.start == 0
	})
	return found
}

// addressOf is where in the process the code is that a module has at an address.
func (p *process) addressOf(mod *module, linked uint64) (uint64, bool) {
	for _, s := range mod.segments {
		if linked < s.vaddr || linked-s.vaddr >= s.size {
			continue
		}
		offset := linked - s.vaddr + s.offset
		for i := range p.maps {
			if m := &p.maps[i]; m.module == mod && offset >= m.offset && offset-m.offset < m.end-m.start {
				return offset - m.offset + m.start, true
			}
		}
	}
	return 0, false
}
