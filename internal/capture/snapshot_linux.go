//go:build linux && (amd64 || arm64)

package capture

import (
	"math"
	"slices"
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

// staleSnapshot is how long a snapshot may take to be worth anything. One that
// takes longer was held up in the kernel, by a page that does not come or by a
// lock, and says nothing of now.
const staleSnapshot = 10 * time.Second

// snapshots takes them, on a goroutine of its own: the kernel looks into the
// memory of other processes, and any of them can make that wait. It holds no
// lock meanwhile, so that only the next snapshot has to wait with it.
type snapshots struct {
	iterate func() error // runs the kernel's iterator
	ask     chan request // has room for the one there can be; closed to end
	taken   chan taken   // the same
	done    chan struct{}

	// The rest belongs to the reading goroutine.
	running bool
	warned  bool
	began   time.Time
	exited  map[int32]struct{} // threads whose end was delivered meanwhile
	now     []chan<- struct{}  // who waits for the snapshot being taken
	next    []chan<- struct{}  // who waits for the one after it
}

// request asks for a snapshot.
type request struct {
	odds   odds
	at     uint64 // kernel clock
	offset int64  // from it to Unix time
}

// taken is a finished snapshot. Its threads belong to the reading goroutine
// until that asks for another.
type taken struct {
	request
	err                 error
	threads             []Thread
	missed              uint32
	wantSame, wantFresh uint32
}

func (s *snapshots) init(iterate func() error) {
	*s = snapshots{
		iterate: iterate, ask: make(chan request, 1), taken: make(chan taken, 1),
		done: make(chan struct{}), exited: map[int32]struct{}{},
	}
}

// runSnapshots is the goroutine that takes snapshots.
func (t *Tracer) runSnapshots() {
	defer close(t.snaps.done)
	var threads []Thread
	for r := range t.snaps.ask {
		s := t.look(r, threads[:0])
		threads = s.threads
		t.snaps.taken <- s
	}
}

// look lets the kernel fill the rows and the stack ring, and reads the rows.
func (t *Tracer) look(r request, threads []Thread) taken {
	o, s := t.obj, taken{request: r, threads: threads}
	for _, v := range [...]struct {
		name  string
		value uint32
	}{
		{captureVarRowCount, 0}, {captureVarRowsLost, 0}, {captureVarCopies, 0}, {captureVarWantSame, 0}, {captureVarWantFresh, 0},
		{captureVarMaxCopies, uint32(t.cfg.MaxSnapshotStacks)},
		{captureVarOddsSame, threshold(r.odds.same)},
		{captureVarOddsFresh, threshold(r.odds.fresh)},
	} {
		if s.err = o.set(v.name, v.value); s.err != nil {
			return s
		}
	}
	if s.err = t.snaps.iterate(); s.err != nil {
		return s
	}
	for i := range o.rows[:min(int(o.get(captureVarRowCount)), len(o.rows))] {
		s.threads = append(s.threads, o.rows[i].thread(r.offset, int64(r.at)+r.offset))
	}
	s.missed, s.wantSame, s.wantFresh = o.get(captureVarRowsLost), o.get(captureVarWantSame), o.get(captureVarWantFresh)
	return s
}

// askSnapshot asks for a snapshot unless one is being taken.
func (t *Tracer) askSnapshot() {
	s := &t.snaps
	if s.running {
		if d := time.Since(s.began); d > staleSnapshot && !s.warned {
			s.warned = true
			clear(s.exited) // it will not be delivered
			t.log.Warn("a snapshot of the threads is held up in the kernel; there are none until it is done", zap.Duration("since", d))
		}
		return
	}
	s.running, s.warned, s.began = true, false, time.Now()
	clear(s.exited)
	if err := t.clock.refresh(); err != nil {
		t.log.Error("cannot read the clock", zap.Error(err))
	}
	s.ask <- request{odds: t.read.odds, at: t.clock.lastMono, offset: t.clock.offset}
}

// deliverSnapshot passes a finished snapshot on.
func (t *Tracer) deliverSnapshot(s taken) {
	n := &t.snaps
	defer func() {
		n.running = false
		for _, c := range n.now {
			close(c)
		}
		n.now, n.next = n.next, nil
		if len(n.now) > 0 {
			t.askSnapshot()
		}
	}()
	if s.err != nil {
		t.log.Error("cannot take a snapshot of the threads", zap.Error(s.err))
		return
	}
	t.read.odds = nextOdds(uint32(t.cfg.MaxSnapshotStacks), s.wantSame, s.wantFresh)
	t.drainStacks()
	if n.warned || time.Since(n.began) > staleSnapshot {
		t.log.Warn("a snapshot of the threads was held up in the kernel and is dropped", zap.Duration("for", time.Since(n.began)))
		return
	}
	// Nobody wants to hear of a thread again whose end it was told.
	threads := slices.DeleteFunc(s.threads, func(th Thread) bool {
		_, gone := n.exited[th.TID]
		return gone
	})
	interval := t.cfg.SnapshotInterval
	if t.read.lastSnapshot != 0 {
		interval = durationOf(s.at - t.read.lastSnapshot)
	}
	t.read.lastSnapshot = s.at
	t.counts.snapshotMiss.Add(uint64(s.missed))
	t.counts.snapshots.Add(1)
	t.handler.Snapshot(&Snapshot{
		Time: int64(s.at) + s.offset, Interval: interval, Threads: threads, Missed: int(s.missed),
	})
}

func (r *captureRow) thread(offset, at int64) Thread {
	th := Thread{
		PID: int32(r.Tgid), TID: int32(r.Tid), Number: r.Nr, State: r.State, Flags: ThreadFlags(r.Flags),
		CPUTime: durationOf(r.CpuNs), RunDelay: durationOf(r.DelayNs), Voluntary: r.Nvcsw, Involuntary: r.Nivcsw, StackID: r.Stack,
	}
	switch {
	case r.Since != 0:
		th.Since = int64(r.Since) + offset
		th.Delay = min(callDelay(r.CallDelay), max(time.Duration(at-th.Since), 0))
	case th.Flags&ThreadBlocked != 0:
		th.Since = at // it waits, and that is all that is known
	}
	return th
}

// leastDelay is LEAST_DELAY of bpf/maps.h.
const leastDelay = 10

// callDelay is what a number of the kernel's units comes to; what is not worth
// telling is zero.
func callDelay(units uint32) time.Duration {
	if units < leastDelay {
		return 0
	}
	return time.Duration(units) * delayUnit
}

// durationOf saturates where a plain conversion would turn negative.
func durationOf(ns uint64) time.Duration { return time.Duration(min(ns, math.MaxInt64)) }
