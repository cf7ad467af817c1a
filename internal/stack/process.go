package stack

import (
	"errors"
	"fmt"
	"hash/maphash"
	"io/fs"
	"path"
	"strings"
	"time"

	"github.com/perfscope/perfscope/internal/rootfs"
)

const (
	// refreshInterval is how often, at most, an address in no known mapping
	// makes the maps of its process be read again (a library was loaded).
	// A process just met starts at firstRefresh and doubles up to it: young
	// processes load libraries in quick succession.
	refreshInterval = time.Second
	firstRefresh    = 20 * time.Millisecond
	// staleAfter is when they are read again anyway (a library was replaced).
	staleAfter = time.Minute
)

// process is what is known of one process.
type process struct {
	serial      uint64 // unlike the pid, never used again
	pid         int32
	heir        int32 // the ancestor whose mappings it began with, or zero
	exe         string
	runtimeName string
	maps        []mapping
	last        int // index of the mapping found last
	mapsHash    uint64
	read        time.Time
	generation  uint32 // changes when maps or perf map do
	perf        *perfMap
	code        map[uint64]code // before return addresses
	mapBytes    int64
	functions   int           // -1 unknown
	patience    time.Duration // until an unknown address makes maps be read
	used        uint64
}

var hashSeed = maphash.MakeSeed()

// process returns the state of pid, once its maps have been read and are not old.
func (u *Unwinder) process(pid int32) (*process, error) {
	u.tick++
	p := u.processes[pid]
	if p == nil || u.now().Sub(p.read) > staleAfter {
		u.want = u.readProcess(pid, p)
		return nil, nil //nolint:nilnil // it is work
	}
	p.used = u.tick
	return p, nil
}

func (u *Unwinder) add(p *process) {
	for len(u.processes) >= u.opts.MaxProcesses {
		u.dropOldestProcess(nil)
	}
	u.processes[p.pid] = p
}

// dropOldestProcess lets the process go that was used least recently; false is
// that there is none but keep.
func (u *Unwinder) dropOldestProcess(keep *process) bool {
	var oldest *process
	for _, p := range u.processes {
		if p != keep && (oldest == nil || p.used < oldest.used) {
			oldest = p
		}
	}
	if oldest != nil {
		u.forget(oldest.pid)
	}
	return oldest != nil
}

// setMaps replaces the mappings of a process, and makes room for them.
func (u *Unwinder) setMaps(p *process, maps []mapping) {
	u.mapBytes -= p.mapBytes
	p.maps, p.mapBytes, p.last = maps, mapsBytes(maps), 0
	if u.mapBytes += p.mapBytes; u.processes[p.pid] != p {
		u.mapBytes -= p.mapBytes // it is added later
		return
	}
	for u.mapBytes > u.opts.MaxMapBytes && u.dropOldestProcess(p) {
		u.stats.ProcessEvictions++
	}
}

// openFile opens the file behind a mapping of a process, through the process
// it inherited it from when it has ended.
func (u *Unwinder) openFile(at *mappedIn, m *mapping) (*rootfs.File, error) {
	f, err := openMapping(u.door, at.pid, m, at.exe)
	if err != nil && at.heir != 0 && !rootfs.IsStuck(err) {
		if f, err := openMapping(u.door, at.heir, m, at.exe); err == nil {
			return f, nil
		}
	}
	return f, err
}

// mappedIn is what work needs to know of the process a mapping is of.
type mappedIn struct {
	pid, heir int32
	exe       string
}

func (p *process) mappedIn() *mappedIn { return &mappedIn{p.pid, p.heir, p.exe} }

// readProcess reads maps and program; unchanged maps keep their modules. p is nil
// when the process is not known yet.
func (u *Unwinder) readProcess(pid int32, p *process) work {
	read := u.readMaps
	return func() func() {
		text, err := read(pid)
		exe, hash := "", uint64(0)
		var maps []mapping
		if err == nil {
			exe, hash = exePath(u.door, pid), maphash.Bytes(hashSeed, text)
			if p == nil || hash != p.mapsHash || exe != p.exe {
				maps = parseMaps(text)
			}
		}
		return func() {
			if p != nil && u.processes[pid] != p {
				return // forgotten meanwhile
			}
			u.keepProcess(pid, p, maps, exe, hash, err)
		}
	}
}

func (u *Unwinder) keepProcess(pid int32, p *process, maps []mapping, exe string, hash uint64, err error) {
	switch {
	case err == nil:
	case p != nil && p.maps != nil && rootfs.IsStuck(err):
		p.read = u.now()
		return // what is known of it is still mostly true
	default:
		hint := ""
		if errors.Is(err, fs.ErrPermission) {
			hint = ": give the collector CAP_SYS_PTRACE or run it as the process's user"
		}
		u.forget(pid)
		u.failure = fmt.Errorf("memory map of process %d: %w%s", pid, err, hint)
		return
	}
	if p == nil {
		u.serial++
		p = &process{serial: u.serial, pid: pid, functions: -1, patience: firstRefresh, used: u.tick, perf: &perfMap{}}
		u.add(p)
	}
	p.read = u.now()
	if maps == nil && hash == p.mapsHash {
		for i := range p.maps {
			p.maps[i].failed = false // what could not be opened is tried again
		}
		return
	}
	old := p.maps
	sameProgram := exe == p.exe
	p.exe, p.mapsHash, p.code = exe, hash, nil
	u.setMaps(p, maps)
	p.generation++
	p.functions = -1
	if sameProgram {
		keepModules(p.maps, old)
	}
	p.runtimeName = runtimeByPath(p.exe, p.maps)
}

// keepModules carries modules over to mappings that did not change.
func keepModules(now, old []mapping) {
	j := 0
	for i := range now {
		for j < len(old) && old[j].start < now[i].start {
			j++
		}
		if j == len(old) {
			return
		}
		a, b := &now[i], &old[j]
		if a.start == b.start && a.end == b.end && a.offset == b.offset && a.inode == b.inode && a.path == b.path {
			a.module, a.failed = b.module, b.failed
		}
	}
}

// runtimeByPath recognises language runtimes by the files mapped.
func runtimeByPath(exe string, maps []mapping) string {
	base := path.Base(exe)
	switch {
	case base == "node" || base == "nodejs":
		return "nodejs"
	case strings.HasPrefix(base, "python"):
		return "cpython"
	}
	switch strings.TrimRight(base, "0123456789.") { // Debian's are ruby3.1, php-fpm8.2
	case "ruby":
		return "ruby"
	case "php", "php-fpm", "php-cgi":
		return "php"
	case "perl":
		return "perl"
	}
	for i := range maps {
		switch name := maps[i].name(); {
		case name == "libjvm.so":
			return "jvm"
		case name == "libcoreclr.so":
			return "dotnet"
		case strings.HasPrefix(name, "libnode.so"):
			return "nodejs"
		}
	}
	return ""
}

// program is the module of the process's executable.
func (u *Unwinder) program(p *process) *module {
	if m := p.program(); m != nil {
		return u.moduleFor(p, m)
	}
	return nil
}

// program is the first mapping of the process's executable; nil when there is none.
func (p *process) program() *mapping {
	for i := range p.maps {
		if p.maps[i].isFile() && p.maps[i].path == p.exe {
			return &p.maps[i]
		}
	}
	return nil
}

// find returns the mapping that holds addr.
func (p *process) find(addr uint64) *mapping {
	if p.last < len(p.maps) {
		if m := &p.maps[p.last]; addr >= m.start && addr < m.end {
			return m
		}
	}
	lo, hi := 0, len(p.maps)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if p.maps[mid].end <= addr {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo == len(p.maps) || addr < p.maps[lo].start {
		return nil
	}
	p.last = lo
	return &p.maps[lo]
}

// mappingAt is find, with the maps read again when addr is new to them.
func (u *Unwinder) mappingAt(p *process, addr uint64) *mapping {
	m := p.find(addr)
	if m == nil && u.now().Sub(p.read) > p.patience {
		u.stats.Refreshes++
		p.patience = min(2*p.patience, refreshInterval)
		u.want = u.readProcess(p.pid, p)
	}
	return m
}

// knowCompiled sees to it that the perf map has the compiled functions of a
// walk.
func (u *Unwinder) knowCompiled(p *process, places []place) {
	compiled := false
	for i := range places {
		if !places[i].jit {
			continue
		}
		compiled = true
		if _, ok := p.perf.find(places[i].addr); !ok {
			u.lookAtPerfMap(p, max(p.perf.wait, perfMapMissing))
			return
		}
	}
	if compiled {
		u.lookAtPerfMap(p, max(p.perf.wait, perfMapInterval))
	}
}

// lookAtPerfMap looks, once per interval, for newly compiled functions.
func (u *Unwinder) lookAtPerfMap(p *process, interval time.Duration) {
	now := u.now()
	if now.Sub(p.perf.looked) < interval {
		return
	}
	perf, pid := p.perf, p.pid
	u.want = func() func() {
		err := u.readPerfMap(perf, pid)
		return func() { u.keepPerfMap(p, perf, err) }
	}
}

// readPerfMap reads the next piece of a perf map; most processes have none.
func (u *Unwinder) readPerfMap(perf *perfMap, pid int32) error {
	perf.updating.Lock()
	defer perf.updating.Unlock()
	f, err := openPerfMap(u.door, pid)
	if err != nil {
		perf.updated = false
		return nil
	}
	defer func() { _ = f.Close() }()
	return perf.update(f, f.Size)
}

func (u *Unwinder) keepPerfMap(p *process, perf *perfMap, err error) {
	if p.perf != perf {
		return // dropped meanwhile
	}
	perf.looked = u.now()
	if err != nil {
		if perf.full != nil && !perf.told {
			perf.told = true
			u.quarantine(Quarantine{"perf_map", p.exe, p.pid, err, 0})
		}
		u.lastError = err
	}
	if !perf.updated {
		perf.wait = min(max(2*perf.wait, perfMapMissing), perfMapPatience)
		return
	}
	perf.wait = 0
	p.generation++
	p.code = nil
	u.shrinkPerfMaps(p)
}

// perfMapRest is after how long a perf map that was dropped for want of room
// is read again.
const perfMapRest = 30 * time.Second

// shrinkPerfMaps drops the perf maps of the processes used least recently
// until the bound holds; keep is the one just read.
func (u *Unwinder) shrinkPerfMaps(keep *process) {
	for {
		var bytes int64
		var oldest *process
		for _, p := range u.processes {
			n := p.perf.bytes()
			bytes += n
			if p != keep && n > 0 && (oldest == nil || p.used < oldest.used) {
				oldest = p
			}
		}
		if bytes <= u.opts.MaxPerfMapBytes {
			return
		}
		if oldest == nil {
			oldest = keep // alone beyond the bound
		}
		oldest.perf = &perfMap{looked: u.now().Add(perfMapRest)}
		oldest.generation++
		u.stats.PerfMapEvictions++
	}
}
