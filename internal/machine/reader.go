package machine

import (
	"cmp"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// Service is a service instance to read for.
type Service struct {
	// Key tells it from others, Name is what its neighbours know it by.
	Key, Name string
	// Processes are its own, the first one's control groups are the service's.
	Processes []int32
	// Stopped and Uninterruptible are what snapshots saw of its threads meanwhile.
	Stopped, Uninterruptible time.Duration
}

// maxServices bounds the services read for, maxMembers the processes of one of which
// single figures are read.
const (
	maxServices = 256
	maxMembers  = 64
)

// Reader reads at each flush what was added since the one before. It is not safe for
// concurrent use. Its memory is bounded: some hundred figures of each service, one
// entry for each process of the host and each of 16384 connections.
type Reader struct {
	proc    string
	mounts  hierarchies
	buffer  []byte
	devices map[string]string
	others  neighbours
	owners  owners
	// last are the counters at the read before, by service.
	last map[string]map[counter]int64
	// connections are those of the last look, by inode.
	connections map[uint32]socket
	// sockets are replaced by tests.
	sockets func() []socket
	// elsewhere is nil when the sockets of other network namespaces are not to be had.
	elsewhere Elsewhere
}

// counter is one figure that only grows; id tells those apart that are summed up.
type counter struct {
	measure  threadtrace.Measure
	resource string
	id       uint64
}

// New returns a reader of the proc file system, /proc when it is empty.
func New(proc string) *Reader {
	r := &Reader{proc: cmp.Or(proc, "/proc"), buffer: make([]byte, maxFile), devices: map[string]string{}, last: map[string]map[counter]int64{}, sockets: sockets}
	if data, err := r.read(filepath.Join(r.proc, "self", "mountinfo")); err == nil {
		r.mounts = parseMounts(data)
	}
	return r
}

// Missing says what cannot be read on this host, and what is not told for it.
func (r *Reader) Missing() (missing []string) {
	has := func(controller string) bool { return r.mounts[controller] != "" || r.mounts[""] != "" }
	if !has("cpu") || !has("memory") {
		missing = append(missing, "control groups are not mounted: no CPU quota and no memory limit is seen")
	}
	for file, without := range map[string]string{"stat": "no neighbour on the CPUs is seen", "diskstats": "no slow disk is seen"} {
		if _, err := r.read(filepath.Join(r.proc, file)); err != nil {
			missing = append(missing, err.Error()+": "+without)
		}
	}
	slices.Sort(missing)
	return missing
}

// sum gathers the counters of one service.
type sum struct {
	was, now map[counter]int64
	readings map[counter]int64 // by measure and resource
}

// put takes a figure. A counter says nothing at the first look at it, but for that of
// a connection, which began since.
func (s *sum) put(m threadtrace.Measure, resource string, v int64, id uint64) {
	at := counter{m, resource, 0}
	switch {
	case m.IsLevel() || isLooked(m):
		s.readings[at] += v
		return
	case len(s.now) >= maxSockets:
		return
	}
	c := counter{m, resource, id}
	s.now[c] += v
}

// isLooked reports whether a measure is what looks saw, and no counter.
func isLooked(m threadtrace.Measure) bool {
	switch m {
	case threadtrace.MeasurePeerWait, threadtrace.MeasureClientWait, threadtrace.MeasureAnswered, threadtrace.MeasureUnanswered,
		threadtrace.MeasureStopped, threadtrace.MeasureUninterruptible:
		return true
	}
	return false
}

// ofConnection reports whether a counter begins at zero when it is seen for the first
// time: one of a process may be old.
func (c counter) ofConnection() bool {
	switch c.measure {
	case threadtrace.MeasurePeerSegments, threadtrace.MeasureReceiverLimited, threadtrace.MeasureNetworkLimited, threadtrace.MeasureRetransmits:
		return true
	}
	return false
}

// difference turns counters into what was added.
func (s *sum) difference() {
	for c, v := range s.now {
		was, known := s.was[c]
		if !known && (s.was == nil || !c.ofConnection()) {
			continue
		}
		if v >= was {
			s.readings[counter{c.measure, c.resource, 0}] += v - was
		}
	}
}

// Read returns what is known of each service between two instants (nanoseconds since
// the epoch), in the order of the services. One that is read for the first time has
// nothing but its snapshots' figures.
func (r *Reader) Read(from, to int64, services []Service) []threadtrace.Machine {
	if len(services) == 0 {
		return nil
	}
	services = services[:min(len(services), maxServices)]
	sums := make([]sum, len(services))
	index := make(map[string]int, len(services))
	named := map[int32]string{}
	for i := range services {
		s := &services[i]
		index[s.Key] = i
		sums[i] = sum{was: r.last[s.Key], now: map[counter]int64{}, readings: map[counter]int64{}}
		for _, pid := range s.Processes {
			named[pid] = s.Name
		}
	}
	r.host(func(m threadtrace.Measure, resource string, v int64) {
		for i := range sums {
			sums[i].put(m, resource, v, 0)
		}
	})
	scanned := r.scan(to)
	for i := range services {
		r.service(&services[i], &sums[i])
	}
	r.peers(to-from, to, services, sums, index)
	out := make([]threadtrace.Machine, len(services))
	r.last = make(map[string]map[counter]int64, len(services))
	for i := range services {
		sums[i].difference()
		r.last[services[i].Key] = sums[i].now
		out[i] = threadtrace.Machine{Start: from, End: to, Readings: sums[i].list()}
		if scanned {
			own := map[int32]bool{}
			for _, pid := range services[i].Processes {
				own[pid] = true
			}
			out[i].Users = r.others.users(own, named)
		}
	}
	return out
}

func (r *Reader) service(s *Service, to *sum) {
	to.put(threadtrace.MeasureStopped, "", int64(s.Stopped), 0)
	to.put(threadtrace.MeasureUninterruptible, "", int64(s.Uninterruptible), 0)
	for i, pid := range s.Processes[:min(len(s.Processes), maxMembers)] {
		at := filepath.Join(r.proc, strconv.Itoa(int(pid)))
		if i == 0 {
			if data, err := r.read(filepath.Join(at, "cgroup")); err == nil {
				r.groupReadings(parseGroups(data), func(m threadtrace.Measure, resource string, v int64) { to.put(m, resource, v, 0) })
			}
		}
		if p, ok := r.others.held[pid]; ok {
			// As of the last look at all processes: one read serves both.
			to.put(threadtrace.MeasureMajorFaults, "", p.majorFaults, uint64(pid)) //nolint:gosec // a pid
			to.put(threadtrace.MeasureOwnDiskBytes, "", p.bytes, uint64(pid))      //nolint:gosec // a pid
			to.put(threadtrace.MeasureResident, "", p.resident, 0)
		}
	}
}

// peers takes what the connections of the services say.
func (r *Reader) peers(stands, now int64, services []Service, sums []sum, index map[string]int) {
	if len(services) == 0 {
		return
	}
	of := map[int32]int{}
	for i := range services {
		for _, pid := range services[i].Processes {
			of[pid] = i
		}
	}
	all := r.sockets()
	r.look(now, all, services)
	all = append(all, r.abroad(of)...)
	r.connections = compare(all, r.connections)
	owner := func(s *socket) int {
		if i, known := of[s.process]; known {
			return i
		}
		if key := r.owners.service[s.inode]; key != "" {
			if i, known := index[key]; known {
				return i
			}
		}
		return -1
	}
	connections(all, owner, stands, func(service int, m threadtrace.Measure, resource string, v int64, id uint64) {
		sums[service].put(m, resource, v, id)
	})
}

// list is the figures in an order that does not change, those of the host first; what
// is zero is left out, but for a service's own.
func (s *sum) list() []threadtrace.Reading {
	out := make([]threadtrace.Reading, 0, len(s.readings))
	for c, v := range s.readings {
		if v != 0 || c.resource == "" {
			out = append(out, threadtrace.Reading{Measure: c.measure, Resource: c.resource, Value: v})
		}
	}
	slices.SortFunc(out, func(a, b threadtrace.Reading) int {
		return cmp.Or(cmp.Compare(a.Measure, b.Measure), cmp.Compare(b.Value, a.Value), cmp.Compare(a.Resource, b.Resource))
	})
	return out[:min(len(out), threadtrace.MaxReadings)]
}
