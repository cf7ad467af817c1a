package stack

import (
	"math"

	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// Variables finds where the variables of Options.Variables are in the memory of a
// process: those of the first module that has one, the program first, by the name of
// that module; none is no error. It may take as long as the reading of files takes.
func (u *Unwinder) Variables(pid int32) (module string, at map[string]uint64, err error) {
	err = u.patiently(pid, 3*maxCounted, func(p *process) {
		module, at = "", nil
		if mod := u.program(p); mod != nil && len(mod.variables) > 0 {
			for i := range p.maps {
				if m := &p.maps[i]; m.path == p.exe && u.known(p, m) == mod {
					module, at = mod.name, mod.variablesAt(m)
					return
				}
			}
		}
		for i := range min(len(p.maps), maxCounted) {
			if u.wants() {
				return
			}
			u.walkStart = math.MaxUint64 // of the others none is needed any more
			m := &p.maps[i]
			mod := u.moduleFor(p, m)
			if mod == nil || mod.origin == threadtrace.OriginLibrary || len(mod.variables) == 0 {
				continue
			}
			module, at = mod.name, mod.variablesAt(m)
			return
		}
	})
	return module, at, err
}

// variablesAt are the addresses of a module's variables where a mapping has it.
func (mod *module) variablesAt(m *mapping) map[string]uint64 {
	linked, ok := mod.address(m.offset)
	if !ok {
		return nil
	}
	at := make(map[string]uint64, len(mod.variables))
	for name, addr := range mod.variables {
		at[name] = addr - linked + m.start
	}
	return at
}
