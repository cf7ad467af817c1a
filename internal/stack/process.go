package stack

import (
	"errors"
	"fmt"
	"hash/maphash"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"

	"github.com/perfscope/perfscope/internal/procread"
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
	perf        perfMap
	functions   int           // -1 unknown
	patience    time.Duration // until an unknown address makes maps be read
	used        uint64
}

var hashSeed = maphash.MakeSeed()

// process returns the state of pid, reading its maps when it is new or old.
func (u *Unwinder) process(pid int32) (*process, error) {
	u.tick++
	p := u.processes[pid]
	if p == nil {
		u.serial++
		p = &process{serial: u.serial, pid: pid, functions: -1, patience: firstRefresh}
		if err := u.readProcess(p); err != nil {
			return nil, err
		}
		u.add(p)
	} else if u.now().Sub(p.read) > staleAfter {
		if err := u.readProcess(p); err != nil {
			u.forget(pid)
			return nil, err
		}
	}
	p.used = u.tick
	return p, nil
}

func (u *Unwinder) add(p *process) {
	if len(u.processes) >= u.opts.MaxProcesses {
		u.dropOldestProcess()
	}
	u.processes[p.pid] = p
}

// openFile opens the file behind a mapping of a process, through the process
// it inherited it from when it has ended.
func (p *process) openFile(m *mapping) (*os.File, fileKey, error) {
	f, key, err := openMapping(p.pid, m, p.exe)
	if err != nil && p.heir != 0 {
		if f, key, err := openMapping(p.heir, m, p.exe); err == nil {
			return f, key, nil
		}
	}
	return f, key, err
}

func (u *Unwinder) dropOldestProcess() {
	var oldest *process
	for _, p := range u.processes {
		if oldest == nil || p.used < oldest.used {
			oldest = p
		}
	}
	if oldest != nil {
		u.forget(oldest.pid)
	}
}

// readProcess reads maps and program; unchanged maps keep their modules.
func (u *Unwinder) readProcess(p *process) error {
	pid, read := p.pid, u.readMaps
	text, err := procread.Do(&u.patient, pid, func() ([]byte, error) { return read(pid) })
	if p.maps != nil && (errors.Is(err, procread.ErrStuck) || errors.Is(err, procread.ErrQuarantined) || errors.Is(err, procread.ErrBusy)) {
		p.read = u.now()
		return nil // what is known of it is still mostly true
	}
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("memory map of process %d: %w: give the collector CAP_SYS_PTRACE or run it as the process's user", p.pid, err)
	}
	if err != nil {
		return fmt.Errorf("memory map of process %d: %w", p.pid, err)
	}
	p.read = u.now()
	exe := exePath(p.pid)
	hash := maphash.Bytes(hashSeed, text)
	if hash == p.mapsHash && exe == p.exe {
		for i := range p.maps {
			p.maps[i].failed = false // what could not be opened is tried again
		}
		return nil
	}
	old := p.maps
	sameProgram := exe == p.exe
	p.maps, p.last, p.mapsHash, p.exe = parseMaps(text), 0, hash, exe
	p.generation++
	p.functions = -1
	if sameProgram {
		keepModules(p.maps, old)
	}
	p.runtimeName = runtimeByPath(p.exe, p.maps)
	if p.runtimeName == "" && u.isGo(p) {
		p.runtimeName = "go"
	}
	return nil
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
	case base == "ruby":
		return "ruby"
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

// isGo reports whether the program carries Go's tables.
func (u *Unwinder) isGo(p *process) bool {
	mod := u.program(p)
	return mod != nil && mod.img != nil && mod.img.goTable != nil
}

// program is the module of the process's executable.
func (u *Unwinder) program(p *process) *module {
	for i := range p.maps {
		if p.maps[i].isFile() && p.maps[i].path == p.exe {
			return u.moduleFor(p, &p.maps[i])
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
		if u.readProcess(p) == nil {
			m = p.find(addr)
		}
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
			u.updatePerfMap(p, perfMapMissing)
			return
		}
	}
	if compiled {
		u.updatePerfMap(p, perfMapInterval)
	}
}

// updatePerfMap looks, once per interval, for newly compiled functions.
func (u *Unwinder) updatePerfMap(p *process, interval time.Duration) {
	now := u.now()
	if now.Sub(p.perf.looked) < interval {
		return
	}
	p.perf.looked = now
	f, size, err := openPerfMap(p.pid)
	if err != nil {
		return // most processes have none
	}
	defer func() { _ = f.Close() }()
	before := p.perf.generation
	if err := p.perf.update(f, size); err != nil {
		u.lastError = err
	}
	if p.perf.generation != before {
		p.generation++
		u.shrinkPerfMaps(p)
	}
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
		// Its generation counts on: no stack named before is believed.
		oldest.perf = perfMap{generation: oldest.perf.generation + 1, looked: u.now().Add(perfMapRest)}
		oldest.generation++
		u.stats.PerfMapEvictions++
	}
}
