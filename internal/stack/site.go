package stack

import (
	"errors"
	"io"
	"time"

	"github.com/perfscope/perfscope/internal/rootfs"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

const (
	// maxSites bounds the code addresses remembered per module.
	maxSites = 1 << 16
	// maxBadRows is how many rows of a table may be damaged before it is no longer
	// believed.
	maxBadRows = 32
)

// stepKind says how a site's frame is left.
type stepKind uint8

const (
	stepNone     stepKind = iota // no rule: the walk ends, incomplete
	stepCFI                      // call frame information
	stepGo                       // Go's frame size table
	stepPointer                  // frame pointer
	stepScan                     // native code without any table: search the stack
	stepLeafCall                 // a PLT stub without a table: the return address is on top
	stepEnd                      // the outermost frame: the walk is complete
)

// site is what is known of one code address.
type site struct {
	kind     stepKind
	row      *row   // stepCFI
	size     uint64 // stepGo: frame size
	switches bool   // stepGo: the function switches stacks
	// frames are the names: inlined functions first, last the function that holds the code,
	// which starts at start.
	frames []threadtrace.Frame
	start  uint64
	// called is the function that is called before a return address, as linked, zero when
	// that is not said there, and callee its name; callKnown is set once it was looked at.
	called    uint64
	callee    threadtrace.Frame
	callKnown bool
}

// siteAt is what is known of the code address addr (as linked); nil when nothing can be
// known, or tables are wanted first.
func (u *Unwinder) siteAt(p *process, m *mapping, mod *module, addr uint64) *site {
	if s, ok := mod.sites[addr]; ok {
		return s
	}
	switch img := u.tables(p, m, mod); {
	case img == nil:
		return nil
	case img.goTable.covers(addr):
		if s, err := goSite(img.goTable, &blockReader{held: mod.blocks}, mod.name, addr); err == nil {
			mod.keep(addr, s)
			return s
		}
		if mod.err == nil || u.now().Sub(mod.tried) > mod.rest {
			u.want = u.readGoSite(p, m, mod, addr)
		}
		return nil
	}
	s := mod.img.newSite(addr)
	s.frames, s.start = mod.framesAt(addr, s)
	mod.keep(addr, s)
	return s
}

// keep remembers a site.
func (mod *module) keep(addr uint64, s *site) {
	if mod.sites == nil || len(mod.sites) >= maxSites {
		mod.sites, mod.weighed = map[uint64]*site{}, 0
	}
	mod.sites[addr] = s
}

// readGoSite looks an address up in the table of a Go program, which is in its file. What
// was read of a function serves its other addresses.
func (u *Unwinder) readGoSite(p *process, m *mapping, mod *module, addr uint64) work {
	at, mapped, table := p.mappedIn(), *m, mod.img.goTable
	return func() func() {
		var found looked
		f, err := u.openModuleFile(at, &mapped, mod)
		if err == nil {
			name, cpu := mod.name, u.cpu
			found, err = rootfs.Look(f, func(r io.ReaderAt) (looked, error) {
				before, b := cpu(), blockReader{r: r}
				s, err := goSite(table, &b, name, addr)
				return looked{s, b.read, cpu() - before}, err
			})
			_ = f.Close()
		}
		return func() {
			u.charge(at.pid, found.cost)
			if mod.tried, mod.err = u.now(), err; err != nil {
				u.failed(at, &mapped, mod)
				return
			}
			mod.rest = 0
			mod.blocks = mod.blocks.with(found.read)
			mod.keep(addr, found.site)
		}
	}
}

// looked is what was looked up in a file, and the CPU time it took.
type looked struct {
	site *site
	read blocks
	cost time.Duration
}

// goSite is what the table of a Go program says of an address; an error is that r, its
// file, could not be read. Hostile tables may have anything.
func goSite(table *goTable, r io.ReaderAt, module string, addr uint64) (s *site, err error) {
	nothing := &site{kind: stepPointer, frames: []threadtrace.Frame{{Function: module, Module: module}}}
	file := &failing{r: r}
	defer func() {
		if recover() != nil {
			s = nothing
		}
		if file.err != nil {
			s, err = nil, file.err
		}
	}()
	t := table.in(file)
	fn, ok := t.find(addr)
	if !ok {
		return nothing, nil
	}
	s = &site{kind: stepGo, switches: fn.flag&goSPWrite != 0, start: fn.entry}
	if s.size, ok = t.frameSize(&fn, addr); !ok {
		s.kind = stepPointer
	}
	if fn.flag&goTopFrame != 0 {
		s.kind = stepEnd
	}
	s.frames = goFrames(t, &fn, module, addr)
	return s, nil
}

// failing remembers that a file could not be read: a table that was cut short there is not
// what the file says.
type failing struct {
	r   io.ReaderAt
	err error
}

func (f *failing) ReadAt(b []byte, off int64) (int, error) {
	n, err := f.r.ReadAt(b, off)
	if err != nil && !errors.Is(err, io.EOF) {
		f.err = err
	}
	return n, err
}

// newSite finds the rule of the frame that runs at addr, which is not in a Go function.
func (img *image) newSite(addr uint64) *site {
	if img.frames != nil {
		if e, ok := img.frames.find(addr); ok {
			r, err := img.frames.rowAt(e, addr)
			if err != nil {
				// One that never ends is as dear each time.
				if img.badRows++; img.badRows > maxBadRows {
					img.frames = nil
				}
			} else {
				if r.ra.kind == ruleUndefined {
					return &site{kind: stepEnd}
				}
				return &site{kind: stepCFI, row: r}
			}
		}
	}
	if img.inPLT(addr) {
		return &site{kind: stepLeafCall}
	}
	if img.untabled && img.goTable == nil {
		return &site{kind: stepScan}
	}
	return &site{kind: stepPointer}
}
