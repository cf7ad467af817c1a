package machine

import (
	"bytes"
	"cmp"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/perfscope/perfscope/pkg/threadtrace"
)

const (
	// maxProcesses bounds the processes looked at.
	maxProcesses = 4096
	// scanEvery is how far apart (ns) two looks at all processes are: a look takes
	// some ten microseconds a process.
	scanEvery = int64(4.5e9)
	// maxTop is how many users of a resource are told, leastPart which part of the
	// time (CPU) makes one, leastBytes what of a disk (per second).
	maxTop     = 4
	leastPart  = 0.05
	leastBytes = 256 << 10
)

var pageSize = int64(os.Getpagesize())

// spent is what a process has used since its start.
type spent struct {
	name             string
	cpu, bytes       int64
	majorFaults      int64
	resident         int64 // bytes
	start            uint64
	deltaCPU, deltaB int64
	parent           int32
	// childFaults are the page faults of its children that have ended, childB what those
	// moved that had not been told before, child what most such are called.
	childFaults, childB int64
	child               string
}

// neighbours follows what the processes of the host use.
type neighbours struct {
	at   int64
	held map[int32]spent
	// took is for how long the last look stands, ns.
	took int64
}

// scan looks at all processes, if that is due.
func (r *Reader) scan(now int64) (fresh bool) {
	n := &r.others
	if n.at != 0 && now-n.at < scanEvery {
		return false
	}
	dir, err := os.Open(r.proc)
	if err != nil {
		return false
	}
	names, _ := dir.Readdirnames(-1) // what could be read is enough
	_ = dir.Close()
	held := make(map[int32]spent, len(n.held))
	for _, name := range names {
		pid, err := strconv.ParseInt(name, 10, 32)
		if err != nil || len(held) >= maxProcesses {
			continue
		}
		data, err := r.read(r.of(int32(pid), "stat"))
		if err != nil {
			continue
		}
		s, ok := parseStat(data)
		if !ok {
			continue
		}
		if data, err := r.read(r.of(int32(pid), "io")); err == nil {
			s.bytes = ioBytes(data)
		}
		was, known := n.held[int32(pid)]
		if known && was.start == s.start {
			s.deltaCPU, s.deltaB = max(0, s.cpu-was.cpu), max(0, s.bytes-was.bytes)
		} else if n.at > 0 {
			s.deltaCPU, s.deltaB = s.cpu, s.bytes // it began since
		}
		held[int32(pid)] = s
	}
	for pid, s := range held {
		if was, known := n.held[pid]; known && was.start == s.start {
			r.inherit(pid, &s, &was, held)
			held[pid] = s
		}
	}
	fresh = n.at > 0
	n.took, n.at, n.held = now-n.at, now, held
	return fresh
}

// of is the path of a file of a process.
func (r *Reader) of(pid int32, file string) string {
	return filepath.Join(r.proc, strconv.Itoa(int(pid)), file)
}

// parseStat reads /proc/PID/stat.
func parseStat(data []byte) (s spent, ok bool) {
	open, closed := bytes.IndexByte(data, '('), bytes.LastIndexByte(data, ')')
	if open < 0 || closed < open {
		return s, false
	}
	s.name = string(data[open+1 : closed])
	fields := bytes.Fields(data[closed+1:])
	// The third field of the file is the first here.
	const parent, childFaults, majorFaults, user, system, start, resident = 1, 8, 9, 11, 12, 19, 21
	if len(fields) <= resident {
		return s, false
	}
	at := func(i int) int64 { v, _ := number(fields[i]); return v }
	s.parent, s.childFaults = int32(at(parent)), at(childFaults) //nolint:gosec // a pid
	s.majorFaults = at(majorFaults)
	s.resident = min(at(resident), 1<<61/pageSize) * pageSize
	s.cpu = (min(at(user), 1<<61/tick) + min(at(system), 1<<61/tick)) * tick
	s.start = uint64(at(start)) //nolint:gosec // not negative
	return s, true
}

// ioBytes is what a process had devices move, by /proc/PID/io.
func ioBytes(data []byte) (sum int64) {
	keyed(bytes.ReplaceAll(data, []byte(":"), nil), func(name string, v int64) {
		if name == "read_bytes" || name == "write_bytes" {
			sum = min(sum, 1<<61) + min(v, 1<<61)
		}
	})
	return sum
}

// users are who used CPU and disks most, processes with one name together, without
// those of a service itself; named has the services of others.
func (n *neighbours) users(own map[int32]bool, named map[int32]string) (users []threadtrace.User) {
	top := func(of threadtrace.Measure, least int64, used func(*spent) int64, byChildren func(*spent) int64) {
		sums := map[string]threadtrace.User{}
		most := map[string]int64{}
		add := func(pid int32, name string, v int64) {
			if v <= 0 {
				return
			}
			if service := named[pid]; service != "" {
				name = service
			}
			u := sums[name]
			u.Of, u.Name, u.Value = of, name, u.Value+v
			if v > most[name] || v == most[name] && pid < u.PID {
				u.PID, most[name] = pid, v
			}
			sums[name] = u
		}
		for pid, s := range n.held {
			if !own[pid] {
				add(pid, s.name, used(&s))
				add(pid, cmp.Or(s.child, s.name), byChildren(&s))
			}
		}
		list := slices.SortedFunc(maps.Values(sums), func(a, b threadtrace.User) int {
			return cmp.Or(cmp.Compare(b.Value, a.Value), cmp.Compare(a.Name, b.Name))
		})
		for _, u := range list[:min(len(list), maxTop)] {
			if u.Value >= least {
				users = append(users, u)
			}
		}
	}
	top(threadtrace.MeasureHostBusy, int64(leastPart*float64(n.took)), func(s *spent) int64 { return s.deltaCPU }, func(*spent) int64 { return 0 })
	top(threadtrace.MeasureDiskBytes, leastBytes*n.took/1e9, func(s *spent) int64 { return s.deltaB }, func(s *spent) int64 { return s.childB })
	return users
}
