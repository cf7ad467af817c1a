package stack

import (
	"bytes"
	"fmt"
	"io"
	"time"

	"github.com/perfscope/perfscope/internal/syscalltrace"
)

const (
	// maxSites bounds the code addresses remembered per module.
	maxSites = 1 << 16
	// siteSize estimates one remembered address (bytes).
	siteSize = 320
	// retryUnreadable is after how long a module that could not be read is
	// tried again.
	retryUnreadable = time.Minute
)

// moduleKey tells modules apart. The name is part of it because one file may
// be several programs (Debian's redis-server, redis-sentinel, redis-check-rdb).
type moduleKey struct {
	file fileKey
	name string
}

// module is one file's code, shared by all processes that map it. Its image
// can be dropped and loaded again.
type module struct {
	key    moduleKey
	name   string // base name, as Frame.Module shows it
	origin syscalltrace.Origin
	img    *image
	err    error // why img could not be loaded
	tried  time.Time
	used   uint64 // tick of the last use
	sites  map[uint64]*site
}

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
	frames   []syscalltrace.Frame
	named    bool
}

// moduleFor returns the module behind a mapping, opening it on first use;
// nil when there is no file or it cannot be opened.
func (u *Unwinder) moduleFor(p *process, m *mapping) *module {
	if m.module == nil && !m.failed {
		m.module = u.openModule(p, m)
		m.failed = m.module == nil
	}
	mod := m.module
	if mod == nil {
		return nil
	}
	if mod.img == nil {
		// It may have been evicted, and opened anew for another process.
		if shared := u.modules[mod.key]; shared != nil {
			m.module, mod = shared, shared
		} else {
			u.modules[mod.key] = mod
		}
	}
	u.tick++
	mod.used = u.tick
	if mod.img == nil && (mod.err == nil || u.now().Sub(mod.tried) > retryUnreadable) {
		u.load(p, m, mod)
	}
	return mod
}

// openModule finds or makes the shared module of a mapping.
func (u *Unwinder) openModule(p *process, m *mapping) *module {
	key := moduleKey{name: m.name()}
	switch {
	case m.isVDSO():
	case m.isFile() && !m.isMemory():
		f, k, err := p.openFile(m)
		if err != nil {
			u.stats.UnreadableModules++
			u.lastError = err
			return nil
		}
		defer func() { _ = f.Close() }()
		key.file = k
		if m.path == p.exe {
			key.name = programName(p.pid, p.exe, k)
		}
	default:
		return nil
	}
	if mod := u.modules[key]; mod != nil {
		return mod
	}
	mod := &module{key: key, name: key.name}
	mod.origin = moduleOrigin(m.path, p.runtimeName, m.path == p.exe)
	if m.isVDSO() {
		mod.origin = syscalltrace.OriginLibrary
	}
	u.modules[key] = mod
	return mod
}

// load reads the module's file and makes room for it.
func (u *Unwinder) load(p *process, m *mapping, mod *module) {
	if u.protected() > u.opts.MaxModuleBytes {
		u.refused = true
		u.stats.ModuleRefusals++
		u.lastError = fmt.Errorf("module %s of process %d is not loaded: the tables of the modules in one stack exceed the budget of %d MiB",
			m.path, p.pid, u.opts.MaxModuleBytes>>20)
		return
	}
	mod.tried = u.now()
	opts := imageOptions{arch: u.arch, lines: u.opts.Lines && mod.origin == syscalltrace.OriginApplication}
	if m.isVDSO() {
		data, err := readVDSO()
		if err == nil {
			mod.img, err = loadImage(bytes.NewReader(data), opts)
		}
		mod.err = err
	} else {
		f, key, err := p.openFile(m)
		if err == nil {
			defer func() { _ = f.Close() }()
			if key != mod.key.file {
				err = fmt.Errorf("module %s changed while it was mapped", m.path)
			}
		}
		if err == nil {
			opts.debugFile = func(id string) (io.ReaderAt, func()) {
				return openDebugFile(p.pid, u.opts.DebugDirs, id)
			}
			mod.img, err = loadImage(f, opts)
		}
		mod.err = err
	}
	if mod.err != nil {
		u.stats.UnreadableModules++
		u.lastError = mod.err
		return
	}
	u.stats.ModuleLoads++
	mod.sites = map[uint64]*site{}
	u.shrinkModules(mod)
}

// protected is the size of the modules that the walk under way uses: they
// cannot be dropped to make room.
func (u *Unwinder) protected() int64 {
	var bytes int64
	for _, mod := range u.modules {
		if mod.img != nil && mod.used >= u.walkStart {
			bytes += mod.bytes()
		}
	}
	return bytes
}

// shrinkModules drops the images used least recently until the bounds hold;
// keep is the one just loaded, and those of the walk under way stay too.
func (u *Unwinder) shrinkModules(keep *module) {
	for {
		var bytes int64
		loaded := 0
		var oldest *module
		for _, mod := range u.modules {
			if mod.img == nil {
				continue
			}
			loaded++
			bytes += mod.bytes()
			if mod != keep && mod.used < u.walkStart && (oldest == nil || mod.used < oldest.used) {
				oldest = mod
			}
		}
		if oldest == nil || (bytes <= u.opts.MaxModuleBytes && loaded <= u.opts.MaxModules) {
			u.stats.ModuleBytes, u.stats.Modules = bytes, loaded
			return
		}
		oldest.img, oldest.sites = nil, nil
		delete(u.modules, oldest.key)
		u.stats.ModuleEvictions++
	}
}

// bytes estimates the memory a loaded module holds.
func (mod *module) bytes() int64 {
	if mod.img == nil {
		return 0
	}
	n := mod.img.size + int64(len(mod.sites))*siteSize
	return n
}

// siteAt returns what is known of the code address addr (as linked).
func (mod *module) siteAt(addr uint64) *site {
	if s, ok := mod.sites[addr]; ok {
		return s
	}
	if len(mod.sites) >= maxSites {
		clear(mod.sites)
	}
	s := mod.img.newSite(addr)
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
			if r, err := img.frames.rowAt(e, addr); err == nil {
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
