//go:build linux && (amd64 || arm64)

package capture

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestShares has a process make far more calls than the rings hold while nobody
// reads them: another one beside it loses nothing, and each call of the first is
// recorded or counted as its own.
func TestShares(t *testing.T) {
	cfg := testConfig()
	cfg.RingRecords, cfg.StackEvery = 4096, 0
	cfg.PollInterval = time.Hour // the test polls
	tr, r := startTracer(t, cfg)
	const threads, each, quiet = 4, 50000, 200
	flood, modest := startHelper(t, "threads 4 50000"), startHelper(t, "calls 200")
	for _, err := range tr.AddGrouped([]int32{flood.pid(), modest.pid()}, []uint16{1, 2}) {
		must(t, err)
	}
	flood.say()
	flood.hear()
	modest.say()
	modest.hear()
	must(t, tr.Detach())
	s, shares := tr.Stats(), tr.Shares()
	checkComplete(t, s)
	t.Logf("%+v, dropped %v", shares, s.Dropped)
	of := func(h *helper, nr int32) int {
		return r.count(func(c Call) bool { return c.PID == h.pid() && c.Number == nr })
	}
	if got := of(modest, unix.SYS_GETPPID); got != quiet || shares[2].Skipped != 0 {
		t.Errorf("the quiet one has %d of %d calls, %d were skipped", got, quiet, shares[2].Skipped)
	}
	if s.Dropped[DropRingOverwrite]+s.Dropped[DropTornRead] != 0 {
		t.Errorf("the flood overwrote what was not read: %v", s.Dropped)
	}
	// A few calls of each thread's start and end are not of the loop.
	all := shares[1].Recorded + shares[1].Skipped
	if all < threads*each || all > threads*each+20000 || shares[1].Skipped < threads*each/2 || s.Dropped[DropShare] != shares[1].Skipped {
		t.Errorf("of %d calls %d were recorded and %d skipped; dropped %v", threads*each, shares[1].Recorded, shares[1].Skipped, s.Dropped)
	}
	// The next poll gives it a whole share again.
	must(t, tr.Attach())
	again := startHelper(t, "calls 200")
	for _, err := range tr.AddGrouped([]int32{again.pid()}, []uint16{1}) {
		must(t, err)
	}
	again.say()
	again.hear()
	must(t, tr.Poll())
	if got := of(again, unix.SYS_GETPPID); got != quiet {
		t.Errorf("%d of %d calls of the same group after a poll", got, quiet)
	}
}
