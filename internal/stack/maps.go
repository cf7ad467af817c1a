package stack

import (
	"bytes"
	"cmp"
	"slices"
	"strconv"
	"strings"
)

const (
	// maxMappings bounds the executable mappings kept of one process, and
	// maxPathBytes their paths: those beyond it are of no file.
	maxMappings  = 16384
	maxPathBytes = 1 << 20
	// mappingSize estimates a mapping without its path (bytes).
	mappingSize = 128
)

// mapping is an executable piece of a process's address space.
type mapping struct {
	start, end uint64
	offset     uint64 // in the file
	inode      uint64
	dev        string // "fd:01"
	path       string // as /proc/PID/maps gives it, without " (deleted)"
	deleted    bool
	module     *module // nil until first needed
	failed     bool    // the module could not be opened
}

// isFile reports whether a file stands behind the mapping.
func (m *mapping) isFile() bool { return m.inode != 0 && strings.HasPrefix(m.path, "/") }

// isVDSO reports whether this is the kernel's vDSO.
func (m *mapping) isVDSO() bool { return m.path == "[vdso]" }

// name is what Frame.Module shows.
func (m *mapping) name() string {
	switch {
	case m.isVDSO() || m.path == "[vsyscall]":
		return m.path
	case m.isFile() && !m.isMemory():
		return m.path[strings.LastIndexByte(m.path, '/')+1:]
	default:
		return "[jit]"
	}
}

// isMemory reports whether the "file" is really anonymous shared memory,
// which JIT compilers use to map code twice.
func (m *mapping) isMemory() bool {
	return strings.HasPrefix(m.path, "/memfd:") || strings.HasPrefix(m.path, "/dev/zero") ||
		strings.HasPrefix(m.path, "/SYSV") || strings.HasPrefix(m.path, "/dev/shm/")
}

// parseMaps reads the executable mappings out of /proc/PID/maps text, sorted
// by address. Lines it does not understand are skipped.
func parseMaps(text []byte) []mapping {
	var out []mapping
	shared := texts{room: maxPathBytes}
	for len(text) > 0 && len(out) < maxMappings {
		line := text
		if i := bytes.IndexByte(text, '\n'); i >= 0 {
			line, text = text[:i], text[i+1:]
		} else {
			text = nil
		}
		if m, ok := parseMapping(string(line)); ok {
			shared.keep(&m)
			out = append(out, m)
		}
	}
	slices.SortFunc(out, func(a, b mapping) int { return cmp.Compare(a.start, b.start) })
	return out
}

// texts shares the paths and devices of the mappings of a process, of which
// there are few.
type texts struct {
	known map[string]string
	room  int
}

func (t *texts) keep(m *mapping) {
	if t.known == nil {
		t.known = map[string]string{}
	}
	share := func(s string) (string, bool) {
		if have, ok := t.known[s]; ok || s == "" {
			return have, true
		}
		if len(s) > t.room {
			return "", false
		}
		t.room -= len(s)
		s = strings.Clone(s)
		t.known[s] = s
		return s, true
	}
	var ok bool
	if m.path, ok = share(m.path); !ok {
		m.inode = 0
	}
	m.dev, _ = share(m.dev)
}

// mapsBytes estimates what mappings take.
func mapsBytes(maps []mapping) int64 {
	n := int64(len(maps)) * mappingSize
	last := ""
	for i := range maps {
		if path := maps[i].path; path != last {
			n += int64(len(path)) // once for each run of a file's mappings
			last = path
		}
	}
	return min(n, int64(len(maps))*mappingSize+maxPathBytes)
}

// parseMapping reads "start-end perms offset dev inode path".
func parseMapping(line string) (mapping, bool) {
	var m mapping
	fields := [5]string{}
	rest := line
	for i := range fields {
		var ok bool
		fields[i], rest, ok = strings.Cut(rest, " ")
		if !ok && i < 4 {
			return m, false
		}
	}
	if len(fields[1]) < 3 || fields[1][2] != 'x' {
		return m, false
	}
	from, to, ok := strings.Cut(fields[0], "-")
	if !ok {
		return m, false
	}
	var err [4]error
	m.start, err[0] = strconv.ParseUint(from, 16, 64)
	m.end, err[1] = strconv.ParseUint(to, 16, 64)
	m.offset, err[2] = strconv.ParseUint(fields[2], 16, 64)
	m.inode, err[3] = strconv.ParseUint(fields[4], 10, 64)
	for _, e := range err {
		if e != nil {
			return m, false
		}
	}
	if m.end <= m.start {
		return m, false
	}
	m.dev = fields[3]
	m.path = strings.TrimLeft(rest, " ")
	if p, ok := strings.CutSuffix(m.path, " (deleted)"); ok {
		m.path, m.deleted = p, true
	}
	return m, true
}
