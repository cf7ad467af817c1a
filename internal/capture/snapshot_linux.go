//go:build linux && (amd64 || arm64)

package capture

import (
	"errors"
	"math"
	"time"

	"go.uber.org/zap"
)

// odds are the chances of a blocked thread without a stack to get one in the
// next snapshot. Chance, not order, keeps it fair: which threads have a stack
// says nothing about them.
type odds struct {
	same  float64 // its wait was there in the last snapshot too
	fresh float64 // its wait is new
}

// nextOdds sets the odds from how many of each kind asked in the last snapshot.
// Long waits come first; new ones get a quarter in any case.
func nextOdds(budget, wantSame, wantFresh uint32) odds {
	share := func(room, want uint32) float64 {
		if want <= room {
			return 1
		}
		return float64(room) / float64(want)
	}
	quarter := budget / 4
	fresh := quarter
	if wantSame < budget-quarter {
		fresh = budget - wantSame
	}
	return odds{same: share(budget-min(quarter, wantFresh), wantSame), fresh: share(fresh, wantFresh)}
}

func threshold(p float64) uint32 { return uint32(p * math.MaxUint32) }

// takeSnapshot runs the task iterator and delivers what it saw.
func (t *Tracer) takeSnapshot() {
	if err := t.clock.refresh(); err != nil {
		t.log.Error("cannot read the clock", zap.Error(err))
	}
	at, o := t.clock.lastMono, t.obj
	if err := t.runSnapshot(); err != nil {
		if !errors.Is(err, ErrClosed) {
			t.log.Error("cannot take a snapshot of the threads", zap.Error(err))
		}
		return
	}
	t.read.odds = nextOdds(uint32(t.cfg.MaxSnapshotStacks), o.get(captureVarWantSame), o.get(captureVarWantFresh))
	t.drainStacks()

	n := min(int(o.get(captureVarRowCount)), len(o.rows))
	threads := t.read.threads[:0]
	for i := range o.rows[:n] {
		threads = append(threads, o.rows[i].thread(t.clock.offset))
	}
	t.read.threads = threads
	interval := t.cfg.SnapshotInterval
	if t.read.lastSnapshot != 0 {
		interval = durationOf(at - t.read.lastSnapshot)
	}
	t.read.lastSnapshot = at
	missed := o.get(captureVarRowsLost)
	t.counts.snapshotMiss.Add(uint64(missed))
	t.counts.snapshots.Add(1)
	t.handler.Snapshot(&Snapshot{
		Time: int64(at) + t.clock.offset, Interval: interval, Threads: threads, Missed: int(missed),
	})
}

// runSnapshot lets the kernel fill the rows and the stack ring. Its lock keeps
// the forget iterator and Close away.
func (t *Tracer) runSnapshot() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return ErrClosed
	}
	for _, v := range [...]struct {
		name  string
		value uint32
	}{
		{captureVarRowCount, 0}, {captureVarRowsLost, 0}, {captureVarCopies, 0}, {captureVarWantSame, 0}, {captureVarWantFresh, 0},
		{captureVarMaxCopies, uint32(t.cfg.MaxSnapshotStacks)},
		{captureVarOddsSame, threshold(t.read.odds.same)},
		{captureVarOddsFresh, threshold(t.read.odds.fresh)},
	} {
		if err := t.obj.set(v.name, v.value); err != nil {
			return err
		}
	}
	return runIter(t.iters.snapshot)
}

func (r *captureRow) thread(offset int64) Thread {
	th := Thread{
		PID: int32(r.Tgid), TID: int32(r.Tid), Number: r.Nr, State: r.State, Flags: ThreadFlags(r.Flags),
		CPUTime: durationOf(r.CpuNs), Voluntary: r.Nvcsw, Involuntary: r.Nivcsw, StackID: r.Stack,
	}
	if r.Since != 0 {
		th.Since = int64(r.Since) + offset
	}
	return th
}

// durationOf saturates where a plain conversion would turn negative.
func durationOf(ns uint64) time.Duration { return time.Duration(min(ns, math.MaxInt64)) }
