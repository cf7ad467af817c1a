//go:build linux && (amd64 || arm64)

package capture

import (
	"os"
	"strconv"
	"testing"

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
