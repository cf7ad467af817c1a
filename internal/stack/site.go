package stack

import "github.com/perfscope/perfscope/pkg/threadtrace"

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
	if u.tables(p, m, mod) == nil {
		return nil
	}
	return mod.learn(addr)
}

// learn finds out what the image says of an address.
func (mod *module) learn(addr uint64) *site {
	if len(mod.sites) >= maxSites {
		mod.sites, mod.weighed = map[uint64]*site{}, 0
	}
	s := mod.img.newSite(addr)
	s.frames, s.start = mod.framesAt(addr, s)
	mod.sites[addr] = s
	return s
}

// newSite finds the rule of the frame that runs at addr.
func (img *image) newSite(addr uint64) *site {
	if fn, ok := img.goTable.find(addr); ok {
		s := &site{kind: stepGo, switches: fn.flag&goSPWrite != 0}
		if fn.flag&goTopFrame != 0 {
			return &site{kind: stepEnd}
		}
		var ok bool
		if s.size, ok = img.goTable.frameSize(&fn, addr); !ok {
			s.kind = stepPointer
		}
		return s
	}
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
