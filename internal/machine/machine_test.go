package machine

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// files is a host: the proc file system and its control groups below a directory.
type files struct {
	t    *testing.T
	root string
}

func (f files) write(name, text string) {
	f.t.Helper()
	path := filepath.Join(f.root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		f.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		f.t.Fatal(err)
	}
}

// process writes one that has used so many ticks of CPU time and moved bytes.
func (f files) process(pid, name, ticks, bytes string) {
	f.write("proc/"+pid+"/stat", pid+" ("+name+") S 1 1 1 0 -1 4194304 98 0 7 0 "+ticks+" 0 0 0 20 0 1 0 54879 3133440 414\n")
	f.write("proc/"+pid+"/io", "rchar: 99\nread_bytes: "+bytes+"\nwrite_bytes: 0\n")
}

func newHost(t *testing.T, unified bool) files {
	f := files{t, t.TempDir()}
	mounts := "30 25 0:26 / " + f.root + "/cg/cpu rw - cgroup cgroup rw,cpu,cpuacct\n31 25 0:27 / " + f.root + "/cg/memory rw - cgroup cgroup rw,memory\n32 25 0:28 / " + f.root + "/cg/blkio rw - cgroup cgroup rw,blkio\n"
	if unified {
		mounts = "30 25 0:26 / " + f.root + "/cg rw - cgroup2 cgroup2 rw\n"
	}
	f.write("proc/self/mountinfo", mounts)
	f.write("proc/stat", "cpu  100 0 100 1000 50 0 0 10 5 0\ncpu0 1\ncpu1 1\nintr 5\n")
	f.write("proc/diskstats", " 254 0 vda 100 0 2000 500 50 0 1000 250 0 600 750 0 0 0 0 10 100\n 254 1 vda1 9 0 9 9 9 0 9 9 0 9 9\n 7 0 loop0 1 0 1 1 1 0 1 1 0 1 1\n")
	f.process("10", "shop (old)", "50", "0")
	f.process("11", "tar", "100", "0")
	return f
}

func (f files) groups(unified bool, throttled, hits string) {
	if unified {
		f.write("proc/10/cgroup", "0::/pods/shop\n")
		f.write("cg/pods/shop/cpu.stat", "usage_usec 5\nnr_periods 0\nnr_throttled 0\nthrottled_usec 0\n")
		f.write("cg/pods/cpu.stat", "nr_periods 10\nnr_throttled 1\nthrottled_usec "+throttled+"\n")
		f.write("cg/pods/shop/memory.events", "low 0\nhigh 1\nmax "+hits+"\noom 0\n")
		f.write("cg/pods/shop/memory.stat", "anon 5\nworkingset_refault_file "+hits+"\n")
		f.write("cg/pods/shop/io.max", "254:0 rbps=1048576 wbps=max riops=max wiops=max\n")
		return
	}
	f.write("proc/10/cgroup", "3:cpu,cpuacct:/shop\n2:memory:/shop\n1:blkio:/shop\n")
	f.write("cg/cpu/shop/cpu.stat", "nr_periods 10\nnr_throttled 1\nthrottled_time "+throttled+"000\n")
	f.write("cg/memory/shop/memory.failcnt", hits+"\n")
	f.write("cg/memory/shop/memory.stat", "cache 1\nworkingset_refault_file "+hits+"\n")
	for _, file := range limitFiles {
		f.write("cg/blkio/shop/"+file, "")
	}
	f.write("cg/blkio/shop/"+limitFiles[0], "254:0 1048576\n")
}

func readings(m *threadtrace.Machine) map[threadtrace.Reading]bool {
	out := map[threadtrace.Reading]bool{}
	for _, r := range m.Readings {
		out[r] = true
	}
	return out
}

func TestWhatWasAddedSinceTheLastRead(t *testing.T) {
	for _, unified := range []bool{false, true} {
		f := newHost(t, unified)
		f.groups(unified, "1000", "3")
		r := New(filepath.Join(f.root, "proc"))
		r.sockets = func() []socket { return nil }
		shop := []Service{{Key: "k", Name: "shop", Processes: []int32{10}, Stopped: time.Second}}
		first := readings(&r.Read(0, 1e9, shop)[0])
		if !first[threadtrace.Reading{Measure: threadtrace.MeasureStopped, Value: 1e9}] {
			t.Errorf("what the snapshots saw is missing in %v", first)
		}
		for reading := range first {
			if reading.Measure == threadtrace.MeasureThrottledTime || reading.Measure == threadtrace.MeasureHostBusy {
				t.Errorf("of the time before the first read it says %v", reading)
			}
		}
		f.groups(unified, "501000", "10")
		f.write("proc/stat", "cpu  150 0 150 1000 50 0 0 20 5 0\ncpu0 1\ncpu1 1\n")
		f.write("proc/diskstats", " 254 0 vda 110 0 2000 700 60 0 1200 350 0 700 750 0 0 0 0 15 150\n")
		f.process("10", "shop (old)", "60", "4096")
		f.process("11", "tar", "300", "99999999")
		m := r.Read(1e9, 6e9, shop)[0]
		group := "/shop"
		own := group
		if unified {
			group, own = "/pods", "/pods/shop"
		}
		got := readings(&m)
		for _, want := range []threadtrace.Reading{
			{Measure: threadtrace.MeasureThrottledTime, Resource: group, Value: 5e8},
			{Measure: threadtrace.MeasureLimitHits, Resource: own, Value: 7}, {Measure: threadtrace.MeasureRefaults, Resource: own, Value: 7},
			{Measure: threadtrace.MeasureHostBusy, Value: 1e9}, {Measure: threadtrace.MeasureSteal, Value: 1e8}, {Measure: threadtrace.MeasureCPUs, Value: 2},
			{Measure: threadtrace.MeasureDiskOperations, Resource: "vda", Value: 25}, {Measure: threadtrace.MeasureDiskTime, Resource: "vda", Value: 350e6},
			{Measure: threadtrace.MeasureDiskBytes, Resource: "vda", Value: 200 * 512}, {Measure: threadtrace.MeasureOwnDiskBytes, Value: 4096},
			{Measure: threadtrace.MeasureResident, Value: 414 * pageSize},
			{Measure: threadtrace.MeasureDiskLimit, Resource: "vda in " + own, Value: 1048576},
		} {
			if !got[want] {
				t.Errorf("unified %v: %+v is missing in %+v", unified, want, m.Readings)
			}
		}
		if len(m.Users) != 2 || m.Users[0] != (threadtrace.User{Of: threadtrace.MeasureHostBusy, Name: "tar", PID: 11, Value: 2e9}) || m.Users[1].Of != threadtrace.MeasureDiskBytes {
			t.Errorf("the users are %+v", m.Users)
		}
	}
}

func TestAHostWithoutAnythingSaysNothing(t *testing.T) {
	if missing := New(filepath.Join(newHost(t, true).root, "proc")).Missing(); len(missing) > 0 {
		t.Errorf("a host with all of it lacks %q", missing)
	}
	r := New(t.TempDir())
	if len(r.Missing()) != 3 {
		t.Errorf("what is missing is %q", r.Missing())
	}
	r.sockets = func() []socket { return nil }
	for range 2 {
		for _, reading := range r.Read(0, 1e9, []Service{{Key: "k", Processes: []int32{1}}})[0].Readings {
			if reading.Value != 0 {
				t.Errorf("%+v", reading)
			}
		}
	}
}

func TestWhichConnectionsWaitForTheirPeer(t *testing.T) {
	at := netip.MustParseAddrPort
	all := []socket{
		{inode: 1, local: at("10.0.0.1:80"), listening: true},
		{inode: 2, local: at("10.0.0.1:80"), remote: at("10.0.0.9:5000"), sent: 5, received: 900, busy: 100, receiverLimited: 70, onTheWay: 30},
		{inode: 3, local: at("10.0.0.1:4000"), remote: at("10.0.0.2:5432"), sent: 300, received: 400, segments: 12},
		{inode: 4, local: at("10.0.0.1:4001"), remote: at("10.0.0.2:5432"), sent: 400, received: 300},             // has its answer
		{inode: 5, local: at("10.0.0.1:4002"), remote: at("10.0.0.2:5432"), sent: 300, received: 400, unacked: 1}, // the network has it
		{inode: 7, local: at("10.0.0.1:4005"), remote: at("10.0.0.4:80"), sent: 300, received: 300, acked: 260},   // asked again at once
		{inode: 8, local: at("10.0.0.1:4006"), remote: at("10.0.0.5:80"), sent: 300, received: 300, acked: 300},   // answered at once
		{inode: 6, local: at("10.0.0.1:4003"), remote: at("10.0.0.3:53"), datagrams: true},
		{inode: 9, local: at("127.0.0.1:80"), remote: at("127.0.0.1:5001"), busy: 100, receiverLimited: 70},
		{inode: 10, local: at("10.0.0.1:80"), remote: at("10.0.0.8:5002"), sent: 900, received: 5},                          // asked, and has no answer yet
		{inode: 11, local: at("10.0.0.1:80"), remote: at("10.0.0.8:5003"), sent: 900, received: 200},                        // and for a while
		{inode: 13, local: at("10.0.0.1:80"), remote: at("10.0.0.8:5005"), sent: 700, received: 700, segments: 1},           // asked as it came
		{inode: 14, local: at("10.0.0.1:80"), remote: at("10.0.0.8:5006"), sent: 90, received: 90, segments: 8, answers: 7}, // asked again at once
		{inode: 15, local: at("10.0.0.1:80"), remote: at("10.0.0.8:5007"), sent: 90, received: 90, segments: 8, answers: 8}, // answered at once
		{inode: 12, local: at("10.0.0.1:80"), remote: at("10.0.0.8:5004"), sent: 200, received: 900},                        // has it, and rests
		{inode: 99, local: at("10.0.0.1:4004"), remote: at("10.0.0.2:5432"), sent: 300, received: 400},                      // somebody else's
		{inode: 98, local: at("127.0.0.1:7000"), listening: true},                                                           // somebody else listens
		{inode: 97, local: at("127.0.0.1:7000"), remote: at("127.0.0.1:5008"), sent: 900, received: 5},                      // of somebody else
		{inode: 96, local: at("10.0.0.1:80"), remote: at("10.0.0.8:5009"), sent: 900, received: 5},                          // too new for its owner to be known
		{inode: 16, local: at("[::]:90"), listening: true, queue: 1},                                                        // one is in line to be accepted
	}
	type key struct {
		m threadtrace.Measure
		r string
	}
	got := map[key]int64{}
	connections(all, func(s *socket) int {
		if s.inode >= 96 {
			return -1
		}
		return 0
	}, 1e9, func(_ int, m threadtrace.Measure, r string, v int64, _ uint64) { got[key{m, r}] += v })
	for k, want := range map[key]int64{
		{threadtrace.MeasurePeerWait, "10.0.0.2:5432"}: 1e9, {threadtrace.MeasurePeerWait, "10.0.0.3:53"}: 1e9, {threadtrace.MeasurePeerWait, "10.0.0.9"}: 0,
		{threadtrace.MeasurePeerWait, "10.0.0.4:80"}: 1e9, {threadtrace.MeasurePeerWait, "10.0.0.5:80"}: 0,
		{threadtrace.MeasureClientWait, ""}: 6e9, {threadtrace.MeasureUnanswered, "80"}: 2e9, {threadtrace.MeasureAnswered, "80"}: 1e9,
		{threadtrace.MeasureNetworkLimited, "10.0.0.9"}: 30_000, {threadtrace.MeasureNetworkLimited, "127.0.0.1"}: 0, {threadtrace.MeasureReceiverLimited, "127.0.0.1"}: 70_000,
		{threadtrace.MeasureReceiverLimited, "10.0.0.9"}: 70_000, {threadtrace.MeasurePeerSegments, "10.0.0.2:5432"}: 12,
	} {
		if got[k] != want {
			t.Errorf("%v: %d, want %d", k, got[k], want)
		}
	}
}

func TestWhoAnswersLateIsAskedAgainWithinATick(t *testing.T) {
	// Both sent and received last at the same time; answers have two segments, so that their
	// numbers say nothing.
	tie := func(segments, answers, acksIn, acksOut uint32) socket {
		return socket{inode: 1, sent: 90, received: 90, acked: 90, segments: segments, answers: answers, acksIn: acksIn, acksOut: acksOut}
	}
	var asking, asked map[uint32]socket
	for i, look := range []struct {
		asking, asked socket // one asks its peer, one is asked by it
		late          bool
	}{
		{tie(20, 10, 2, 12), tie(10, 20, 12, 2), false}, // at once, all the time
		{tie(26, 13, 5, 12), tie(13, 26, 12, 5), true},
		{tie(26, 13, 5, 12), tie(13, 26, 12, 5), true}, // nothing is new
		{tie(46, 23, 5, 22), tie(23, 46, 22, 5), false},
		{tie(146, 73, 6, 72), tie(73, 146, 72, 6), false}, // but for one
	} {
		outward, inward := []socket{look.asking}, []socket{look.asked}
		asking, asked = compare(outward, asking), compare(inward, asked)
		if got := outward[0].awaits(); got != look.late {
			t.Errorf("look %d: waits for its peer: %v", i, got)
		}
		if got := inward[0].seemsToOwe(); got != look.late {
			t.Errorf("look %d: owes an answer: %v", i, got)
		}
	}
}

// A question is acknowledged with its answer, or 40 ms later: until then it counts as under way.
func TestWhatTheNetworkHas(t *testing.T) {
	const ms = 1000
	for name, tc := range map[string]struct {
		was, now socket
		want     uint64
	}{
		"answers after 12 ms, acknowledged with them": {
			socket{segments: 10, answers: 10, busy: 5 * ms}, socket{segments: 50, answers: 50, busy: 485 * ms}, 0,
		},
		"an answer after 115 ms, acknowledged after 40": {
			socket{segments: 10, answers: 10}, socket{segments: 11, answers: 11, busy: 44 * ms}, 0,
		},
		"a question that has no answer yet": {socket{segments: 10, answers: 10}, socket{segments: 10, answers: 11, busy: 44 * ms}, 0},
		"questions that take 100 ms to arrive": {
			socket{segments: 10, answers: 10, busy: 5 * ms}, socket{segments: 19, answers: 19, busy: 905 * ms}, 900 * ms,
		},
		"a large answer over a narrow link": {
			socket{segments: 10, answers: 900}, socket{segments: 11, answers: 1000, busy: 300 * ms}, 300 * ms,
		},
		"an upload without a word in between": {
			socket{segments: 10, answers: 900}, socket{segments: 10, answers: 1000, busy: 900 * ms, unacked: 10}, 900 * ms,
		},
		"a peer that does not take it": {
			socket{segments: 10, answers: 900}, socket{segments: 10, answers: 1000, busy: 900 * ms, receiverLimited: 880 * ms}, 0,
		},
		"lost, and sent again": {socket{segments: 10, answers: 10}, socket{segments: 50, answers: 50, busy: 485 * ms, retransmits: 2}, 485 * ms},
		"probed while the answer takes long, though it had arrived": {
			socket{segments: 10, answers: 10, retransmits: 3, duplicates: 3}, socket{segments: 27, answers: 42, busy: 332 * ms, retransmits: 5, duplicates: 5}, 0,
		},
		"another connection of the same number": {
			socket{segments: 10, answers: 10, busy: 900 * ms}, socket{segments: 2, answers: 2, busy: 4 * ms}, 0,
		},
	} {
		t.Run(name, func(t *testing.T) {
			looks := []socket{tc.now}
			looks[0].inode, tc.was.onTheWay = 1, 7
			compare(looks, map[uint32]socket{1: tc.was})
			if got := looks[0].onTheWay; got != 7+tc.want {
				t.Errorf("%d µs, want %d", got, 7+tc.want)
			}
		})
	}
}

func TestTheOwnersOfSockets(t *testing.T) {
	f := files{t, t.TempDir()}
	f.write("proc/10/fd/x", "")
	if err := os.Symlink("socket:[77]", filepath.Join(f.root, "proc/10/fd/3")); err != nil {
		t.Fatal(err)
	}
	r := New(filepath.Join(f.root, "proc"))
	r.look(1e15, []socket{{inode: 77}, {inode: 78}}, []Service{{Key: "k", Processes: []int32{10, 11}}})
	if r.owners.service[77] != "k" || r.owners.service[78] != "" {
		t.Errorf("%v", r.owners.service)
	}
}

// FuzzFiles: whatever a file says, reading it ends and no figure is negative.
func FuzzFiles(f *testing.F) {
	f.Add([]byte("cpu  1 2 3 4 5 6 7 8\n254 0 vda 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15\nnr_periods 5\nsome avg10=0 total=5\n0::/a/b\n10 (a) S 1 1 1 0 -1 4194304 98 0 7 0 5 0 0 0 20 0 1 0 54879 3133440 414\n"))
	f.Add([]byte("30 25 0:26 / /cg rw - cgroup2 cgroup2 rw\n99999999999999999999\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		busy, steal := cpuTimes(data)
		s, _ := parseStat(data)
		p, _ := pressure(data)
		for _, d := range parseDisks(data) {
			if d.operations < 0 || d.time < 0 || d.busy < 0 || d.bytes < 0 {
				t.Errorf("%+v", d)
			}
		}
		keyed(data, func(_ string, v int64) {
			if v < 0 || micro(v) < 0 || milli(v) < 0 {
				t.Error(v)
			}
		})
		if busy < 0 || steal < 0 || p < 0 || s.cpu < 0 || s.majorFaults < 0 || ioBytes(data) < 0 {
			t.Errorf("%d, %d, %d, %+v", busy, steal, p, s)
		}
		parseMounts(data)
		parseGroups(data)
	})
}
