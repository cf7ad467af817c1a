package stack

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/perfscope/perfscope/internal/cleantext"
	"github.com/perfscope/perfscope/internal/rootfs"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

const (
	// siteSize estimates one remembered address with its row and its names (bytes),
	// weighEvery is after how many more of them a module is weighed again.
	siteSize, weighEvery = 448, 1024
	// retryUnreadable is after how long a module that could not be read is
	// tried again; each failure doubles it, up to maxRetry.
	retryUnreadable, maxRetry = time.Minute, time.Hour
	// retryBusy is after how long, when it was others that hung.
	retryBusy = 5 * time.Second
)

// moduleKey tells modules apart. The name is part of it because one file may
// be several programs (Debian's redis-server, redis-sentinel, redis-check-rdb).
type moduleKey struct {
	file fileKey
	name string
}

// module is one file's code, shared by all processes that map it. What was found out of
// its addresses (sites) outlasts the image it is from, which is much larger: it can be
// dropped, and is read again for an address that was not met before.
type module struct {
	key    moduleKey
	name   string // base name, as Frame.Module shows it
	origin threadtrace.Origin
	layout        // known once read is set
	img    *image // nil while it is not held
	err    error  // why img could not be loaded
	tried  time.Time
	rest   time.Duration // until it is tried again
	// used is the tick of the last use, consulted that of the image.
	used, consulted uint64
	sites           map[uint64]*site
	// blocks are parts of the file of a Go program, there as long as the image is.
	blocks blocks
	// weighed is the number of sites when it was last seen to that all modules
	// together keep to their bound.
	weighed int
	// reading is closed when who reads it is done; nil when nobody does.
	reading chan struct{}
	// goFunctions are the Go functions that were asked for by name, as linked; empty where
	// there is none.
	goFunctions map[string]span
	// read is set once the file was read, gone once another module has its key.
	read, gone bool
}

// moduleFor returns the module behind a mapping; nil when there is no file or it
// cannot be opened. If its file was never read that is wanted.
func (u *Unwinder) moduleFor(p *process, m *mapping) *module {
	mod := u.known(p, m)
	if mod == nil {
		return nil
	}
	if mod.gone {
		// It may have been opened anew for another process.
		if shared := u.modules[mod.key]; shared != nil {
			m.module, mod = shared, shared
		} else {
			u.modules[mod.key], mod.gone = mod, false
		}
	}
	u.tick++
	mod.used = u.tick
	if !mod.read {
		u.tables(p, m, mod)
	}
	if len(mod.sites) >= mod.weighed+weighEvery {
		mod.weighed = len(mod.sites)
		u.shrinkModules(mod)
	}
	return mod
}

// tables are those of a module; nil when they cannot be had, or are wanted first.
func (u *Unwinder) tables(p *process, m *mapping, mod *module) *image {
	switch {
	case mod.img != nil:
		u.tick++
		mod.consulted = u.tick
	case mod.err == nil || u.now().Sub(mod.tried) > mod.rest:
		u.load(p, m, mod)
	}
	return mod.img
}

// known is the module of a mapping, without its tables; it wants the file to be
// opened when that has not been done yet.
func (u *Unwinder) known(p *process, m *mapping) *module {
	if m.module == nil && !m.failed {
		switch {
		case m.isVDSO():
			m.module = u.moduleOf(moduleKey{name: m.name()}, p, m)
		case m.isFile() && !m.isMemory():
			u.want = u.openModule(p, m)
		default:
			m.failed = true
		}
	}
	return m.module
}

// openModule finds out which file is behind a mapping.
func (u *Unwinder) openModule(p *process, m *mapping) work {
	at, mapped, generation := p.mappedIn(), *m, p.generation
	return func() func() {
		key := moduleKey{name: mapped.name()}
		f, err := u.openFile(at, &mapped)
		if err == nil {
			key.file = keyOf(f.Info)
			_ = f.Close()
			if mapped.path == at.exe {
				key.name = programName(u.door, at.pid, at.exe, key.file)
			}
			key.name = cleantext.Clean(key.name, cleantext.MaxFunction)
		}
		return func() {
			m := p.find(mapped.start)
			if m == nil || p.generation != generation {
				return // they have changed meanwhile
			}
			if m.failed = err != nil; m.failed {
				u.stats.UnreadableModules++
				u.lastError = err
				return
			}
			m.module = u.moduleOf(key, p, m)
		}
	}
}

// moduleOf finds or makes the shared module of a key.
func (u *Unwinder) moduleOf(key moduleKey, p *process, m *mapping) *module {
	if mod := u.modules[key]; mod != nil {
		return mod
	}
	mod := &module{key: key, name: key.name}
	mod.origin = moduleOrigin(m.path, p.runtimeName, m.path == p.exe)
	if m.isVDSO() {
		mod.origin = threadtrace.OriginLibrary
	}
	u.modules[key] = mod
	u.shrinkModules(mod) // the files themselves are bounded, too
	return mod
}

// load wants the module's file to be read, unless there is no room or no time for it.
func (u *Unwinder) load(p *process, m *mapping, mod *module) {
	if mod.read && u.rereads.left(rereadShare, u.now()) > rereadBurst {
		u.deferred = true
		u.stats.ModuleDeferrals++
		return
	}
	if u.protected() > u.opts.MaxModuleBytes {
		u.refused = true
		u.stats.ModuleRefusals++
		u.lastError = fmt.Errorf("module %s of process %d is not loaded: the tables of the modules in one stack exceed the budget of %d MiB",
			m.path, p.pid, u.opts.MaxModuleBytes>>20)
		return
	}
	at, mapped := p.mappedIn(), *m
	u.want = func() func() {
		u.mu.Lock()
		if other := mod.reading; other != nil {
			u.mu.Unlock()
			<-other // bounded as this would be
			return func() {}
		}
		done := make(chan struct{})
		mod.reading = done
		u.mu.Unlock()
		before := u.cpu()
		img, err := u.readModule(at, &mapped, mod)
		cost := u.cpu() - before
		return func() {
			mod.reading = nil
			close(done)
			if mod.read {
				u.rereads.add(cost, rereadShare, u.now())
			}
			u.keepImage(at, &mapped, mod, img, err)
		}
	}
}

// readModule reads a module's tables, one module at a time.
func (u *Unwinder) readModule(at *mappedIn, m *mapping, mod *module) (*image, error) {
	u.loading <- struct{}{}
	defer func() { <-u.loading }()
	opts := imageOptions{
		arch: u.arch, lines: u.opts.Lines && mod.origin == threadtrace.OriginApplication,
		allow: newAllowance(u.cpu), count: mod.origin == threadtrace.OriginApplication && !mod.read, variables: u.opts.Variables,
	}
	if m.isVDSO() {
		data, err := readVDSO(u.door)
		if err != nil {
			return nil, err
		}
		return loadImage(bytes.NewReader(data), opts)
	}
	f, err := u.openModuleFile(at, m, mod)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	opts.debugFile = func(id string) (io.ReaderAt, func()) {
		return openDebugFile(u.door, at.pid, u.opts.DebugDirs, id)
	}
	return loadImage(f, opts)
}

// openModuleFile opens a module's file, which must not have changed.
func (u *Unwinder) openModuleFile(at *mappedIn, m *mapping, mod *module) (*rootfs.File, error) {
	f, err := u.openFile(at, m)
	if err == nil && keyOf(f.Info) != mod.key.file {
		_ = f.Close()
		return nil, fmt.Errorf("module %s changed while it was mapped", m.path)
	}
	return f, err
}

// keepImage keeps what was read, and makes room for it.
func (u *Unwinder) keepImage(at *mappedIn, m *mapping, mod *module, img *image, err error) {
	mod.tried, mod.err = u.now(), err
	if err != nil {
		u.failed(at, m, mod)
		return
	}
	if img.short != nil && !mod.read {
		u.lastError = fmt.Errorf("module %s of process %d: %w", m.path, at.pid, img.short)
		u.quarantine(Quarantine{"module", m.path, at.pid, img.short, 0})
	}
	u.stats.ModuleLoads++
	mod.img, mod.rest = img, 0
	if mod.read {
		u.stats.ModuleRereads++
	} else {
		mod.read, mod.layout, mod.sites = true, img.layout, map[uint64]*site{}
	}
	if u.walkStart != math.MaxUint64 {
		u.tick++
		mod.consulted = u.tick // the walk goes on with it
	}
	u.modules[mod.key] = mod
	u.shrinkModules(mod)
}

// failed has a module that could not be read left alone for a while.
func (u *Unwinder) failed(at *mappedIn, m *mapping, mod *module) {
	mod.rest = min(max(2*mod.rest, retryUnreadable), maxRetry)
	if errors.Is(mod.err, rootfs.ErrBusy) {
		mod.rest = retryBusy // it is none of its own fault
	}
	u.stats.UnreadableModules++
	u.lastError = fmt.Errorf("module %s of process %d: %w", m.path, at.pid, mod.err)
	if errors.Is(mod.err, errTooDear) || errors.Is(mod.err, rootfs.ErrStuck) {
		u.quarantine(Quarantine{"module", m.path, at.pid, mod.err, mod.rest})
	}
}

const (
	// rereadBurst is the CPU time that may be spent at once on reading tables again that
	// were dropped, and rereadShare what part of the time that passes may be for good.
	rereadBurst = 2 * time.Second
	rereadShare = 0.01
)

// protected is the size of the modules that the walk under way uses: they
// cannot be dropped to make room.
func (u *Unwinder) protected() int64 {
	var bytes int64
	for _, mod := range u.modules {
		if mod.img != nil && mod.consulted >= u.walkStart {
			bytes += mod.bytes()
		}
	}
	return bytes
}

// shrinkModules drops what was used least recently, images and sites, until the bounds
// hold; keep is the one just loaded, and what the walk under way uses stays too.
func (u *Unwinder) shrinkModules(keep *module) {
	bytes, loaded := u.held()
	for bytes > u.opts.MaxModuleBytes || loaded > u.opts.MaxModules {
		oldest := u.leastRecent(keep, loaded > u.opts.MaxModules)
		if oldest == nil {
			break
		}
		bytes -= oldest.bytes()
		if oldest.img != nil {
			oldest.img, oldest.blocks = nil, nil
			loaded--
			u.stats.ModuleEvictions++
		} else {
			oldest.sites, oldest.weighed = map[uint64]*site{}, 0
		}
		bytes += oldest.bytes()
	}
	// What else is known of a module takes little; there may be many.
	for _, useful := range []bool{true, false} {
		for key, mod := range u.modules {
			if len(u.modules) <= 4*u.opts.MaxModules {
				return
			}
			if mod != keep && mod.img == nil && mod.reading == nil && mod.used < u.walkStart && !(useful && len(mod.sites) > 0) {
				mod.gone = true
				delete(u.modules, key)
			}
		}
	}
}

// held is what all modules take, in bytes and in images.
func (u *Unwinder) held() (bytes int64, images int) {
	for _, mod := range u.modules {
		bytes += mod.bytes()
		if mod.img != nil {
			images++
		}
	}
	return bytes, images
}

// leastRecent is the module whose image, or whose sites if it has none, was used least
// recently; nil when none can be dropped. An image that is only there for sites that are
// all known counts as unused.
func (u *Unwinder) leastRecent(keep *module, images bool) (oldest *module) {
	least := u.walkStart
	for _, mod := range u.modules {
		used := mod.consulted
		if mod.img == nil {
			used = mod.used
		}
		if mod == keep || used >= least || mod.img == nil && (images || len(mod.sites) == 0) {
			continue
		}
		oldest, least = mod, used
	}
	return oldest
}

// bytes estimates the memory a module holds.
func (mod *module) bytes() int64 {
	bytes := int64(len(mod.sites))*siteSize + int64(len(mod.blocks))*blockSize
	if mod.img != nil {
		bytes += mod.img.size
	}
	return bytes
}
