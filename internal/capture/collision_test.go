//go:build linux && (amd64 || arm64)

package capture

import (
	"os"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// firstPlace and secondPlace are where a thread's slot may be; see bpf/threads.h.
func firstPlace(tid int32) uint32  { return uint32(tid) & (MaxThreads - 1) }
func secondPlace(tid int32) uint32 { return uint32(tid) * 0x9E3779B1 >> 18 }

func threadsOf(t *testing.T, pid int32) []int32 {
	t.Helper()
	list, err := os.ReadDir("/proc/" + strconv.Itoa(int(pid)) + "/task")
	must(t, err)
	var tids []int32
	for _, e := range list {
		tids = append(tids, int32(atoi(t, e.Name())))
	}
	return tids
}

// TestSecondPlace lets every thread find its first place taken.
func TestSecondPlace(t *testing.T) {
	tr, r := startTracer(t, testConfig())
	h := startHelper(t, "calls 1000")
	claims := tr.obj.coll.Maps[captureMapClaims]
	second := map[uint32]bool{}
	for _, tid := range threadsOf(t, h.pid()) {
		second[secondPlace(tid)] = true
	}
	for _, tid := range threadsOf(t, h.pid()) {
		if i := firstPlace(tid); !second[i] {
			must(t, claims.Put(i, uint32(1)))
		}
	}
	must(t, tr.AddProcess(h.pid()))
	h.say()
	h.hear()
	must(t, tr.Poll())
	s := tr.Stats()
	if n := r.count(number(unix.SYS_GETPPID)); n != 1000 || s.Dropped[DropSlotCollision] != 0 {
		t.Errorf("%d of 1000 calls delivered, dropped %v", n, s.Dropped)
	}
}

// TestNoPlaceIsCounted lets every thread find both of its places taken: not
// one call is delivered, and not one is forgotten.
func TestNoPlaceIsCounted(t *testing.T) {
	tr, r := startTracer(t, testConfig())
	claims := tr.obj.coll.Maps[captureMapClaims]
	for i := range uint32(MaxThreads) {
		must(t, claims.Put(i, uint32(1)))
	}
	h := startHelper(t, "calls 1000")
	must(t, tr.AddProcess(h.pid()))
	h.say()
	h.hear()
	must(t, tr.Poll())
	s := tr.Stats()
	if n := r.count(number(unix.SYS_GETPPID)); n != 0 {
		t.Errorf("%d calls delivered of threads without a slot", n)
	}
	// The loop's 3,000 and the Go runtime's own.
	if n := s.Dropped[DropSlotCollision]; n < 3000 || n > 6000 || s.Dropped[DropThread] == 0 {
		t.Errorf("%d calls counted as lost to collisions, want 3,000 and some: %v", n, s.Dropped)
	}
	h.end()
	must(t, tr.Poll())
	if n := tr.obj.get(captureVarOverflow); n != 0 {
		t.Errorf("%d threads without a slot are left of a process that has ended", n)
	}
}

// TestFullTable leaves no room in the table of threads: a thread without has
// no more than its calls counted, and gets its place when there is one.
func TestFullTable(t *testing.T) {
	cfg := testConfig()
	cfg.SnapshotInterval = time.Hour
	tr, r := startTracer(t, cfg)
	h := startHelper(t, "park 50")
	h.say()
	h.hear()
	pid := h.pid()
	tids := threadsOf(t, pid)
	threads := tr.obj.coll.Maps[captureMapThreads]
	const taken = uint32(1 << 23) // above any thread id
	for i := range uint32(MaxThreads) {
		must(t, threads.Put(taken+i, captureThread{Slot: ^uint32(0) - 1}))
	}
	must(t, tr.AddProcess(pid))
	must(t, tr.AddProcess(pid))
	must(t, tr.Snapshot())
	must(t, tr.Snapshot())
	s := tr.Stats()
	// The Go runtime may have started one more meanwhile.
	want := int(s.Dropped[DropThread])
	if now := len(threadsOf(t, pid)); want < len(tids) || want > now {
		t.Errorf("%d threads counted as without a place, want %d to %d", want, len(tids), now)
	}
	if n := int(tr.obj.get(captureVarOverflow)); n != want {
		t.Errorf("%d threads are without a place, %d counted", n, want)
	}
	last := func() (blocked int) {
		r.mu.Lock()
		defer r.mu.Unlock()
		snap := r.snapshots[len(r.snapshots)-1]
		for _, th := range snap.Threads {
			if th.PID != pid || th.Flags&ThreadBlocked == 0 {
				continue
			}
			blocked++
			if ago := time.Duration(snap.Time - th.Since); ago > time.Minute || ago < -time.Second {
				t.Fatalf("thread %d has been blocked for %v", th.TID, ago)
			}
		}
		return blocked
	}
	if n := last(); n < 50 {
		t.Errorf("%d threads blocked, want 50", n)
	}
	for i := range uint32(MaxThreads) {
		must(t, threads.Delete(taken+i))
	}
	must(t, tr.Snapshot())
	if n := tr.obj.get(captureVarOverflow); n != 0 {
		t.Errorf("%d threads are without a place though there is room", n)
	}
	if s := tr.Stats(); s.Threads < want || int(s.Dropped[DropThread]) > s.Threads {
		t.Errorf("following %d threads, want %d; dropped %v", s.Threads, want, s.Dropped)
	}
	last()
	h.end()
	leavesNothing(t, tr, r)
}

// TestFullTableAtExit lets a thread end that never got a place.
func TestFullTableAtExit(t *testing.T) {
	tr, _ := startTracer(t, testConfig())
	h := startHelper(t, "calls 1000")
	threads := tr.obj.coll.Maps[captureMapThreads]
	for i := range uint32(MaxThreads) {
		must(t, threads.Put(1<<23+i, captureThread{}))
	}
	must(t, tr.AddProcess(h.pid()))
	h.say()
	h.hear()
	if n := tr.Stats().Dropped[DropSlotCollision]; n < 3000 {
		t.Errorf("%d calls counted of threads without a place, want at least 3000", n)
	}
	h.end()
	must(t, tr.Poll())
	if n, m := tr.obj.get(captureVarOverflow), entries(tr.obj.coll.Maps[captureMapUnplaced]); n != 0 || m != 0 {
		t.Errorf("%d threads without a place are left of a process that has ended, %d in the table", n, m)
	}
}

func TestBlockedSinceUnknown(t *testing.T) {
	row := captureRow{Flags: uint32(ThreadBlocked)}
	if th := row.thread(1000, 5000); th.Since != 5000 {
		t.Errorf("a wait of unknown age began at %d, want when it was seen, 5000", th.Since)
	}
	row.Since = 7
	if th := row.thread(1000, 5000); th.Since != 1007 {
		t.Errorf("a wait since 7 began at %d, want 1007", th.Since)
	}
	row = captureRow{}
	if th := row.thread(1000, 5000); th.Since != 0 {
		t.Errorf("a thread that runs waits since %d", th.Since)
	}
}
