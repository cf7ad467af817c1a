//go:build linux && (amd64 || arm64)

package capture

import (
	"errors"
	"os"
	"time"

	"github.com/cilium/ebpf/ringbuf"
	"go.uber.org/zap"
)

// slack is how long a CPU may take from reading the clock at the end of a call
// to having its record in the ring; polls leave younger records to the next.
const slack = 2 * time.Millisecond

// past is a deadline that makes a ring-buffer reader return what is there.
var past = time.Unix(1, 0)

// quietPolls is by how much further apart the polls are while no calls are
// recorded: what is left, samples and notices, is little, and each poll wakes a
// process that sleeps, which costs more than what it finds. With the defaults it
// makes them the snapshots' interval.
const quietPolls = 4

// callBatch is how many calls the Handler gets at a time.
const callBatch = 512

// reader is the state of the reading goroutine.
type reader struct {
	merger merger
	event  ringbuf.Record
	record ringbuf.Record
	stack  RawStack
	exits  []heldExit // waiting for the calls before them
	// lastSnapshot is when it was taken, by the kernel's clock.
	lastSnapshot uint64
	pollNo       uint64
	shareNo      uint32 // counts the renewals of the groups' shares
	attached     bool   // the Handler was told so
	crowded      bool   // the last poll found the stack ring filled by a good part
	odds         odds
}

// heldExit is an exit read in poll number poll.
type heldExit struct {
	exit Exit
	at   uint64 // kernel clock
	poll uint64
}

func (r *reader) init(t *Tracer) {
	for cpu := range t.obj.cpus {
		r.merger.rings = append(r.merger.rings, &ring{
			produced: &t.obj.cpus[cpu].Produced,
			records:  t.obj.calls[cpu*t.obj.records : (cpu+1)*t.obj.records],
			buf:      make([]captureCallRecord, ringChunk),
		})
	}
	r.merger.batch = make([]Call, 0, callBatch)
	r.odds = odds{same: 1, fresh: 1}
}

// run is the reading goroutine; attached says that the hooks are in place.
func (t *Tracer) run(attached bool) {
	defer close(t.done)
	if attached {
		t.tellAttached()
	}
	every := t.cfg.PollInterval
	poll := time.NewTicker(every)
	defer poll.Stop()
	var snapshot <-chan time.Time
	if t.iters.snapshot != nil {
		ticker := time.NewTicker(t.cfg.SnapshotInterval)
		defer ticker.Stop()
		snapshot = ticker.C
		go t.runSnapshots()
		defer close(t.snaps.ask)
	} else {
		close(t.snaps.done)
	}
	for {
		if wanted := t.pollInterval(); wanted != every {
			every = wanted
			poll.Reset(every)
		}
		select {
		case <-poll.C:
			t.poll(false)
		case <-t.wakes.came:
			t.drainStacks()
		case <-snapshot:
			if every > t.cfg.PollInterval { // awake already
				t.poll(false)
				poll.Reset(every)
			}
			t.askSnapshot()
		case s := <-t.snaps.taken:
			t.deliverSnapshot(s)
		case f := <-t.loop:
			f()
		case <-t.stop:
			t.poll(true)
			t.poll(true)
			if t.read.attached { // closed meanwhile
				t.tellDetached()
			}
			return
		}
	}
}

// pollInterval is the time to the next poll: longer while no calls are recorded,
// unless many CPUs or deep stacks fill the ring of samples.
func (t *Tracer) pollInterval() time.Duration {
	if t.read.attached || t.read.crowded {
		return t.cfg.PollInterval
	}
	return quietPolls * t.cfg.PollInterval
}

// Poll delivers everything that happened before it was called, and returns
// when the Handler has it. The Tracer polls by itself; this is for those who
// need to know that they have it all. It needs a started Tracer.
func (t *Tracer) Poll() error {
	return t.inLoop(func() {
		time.Sleep(slack)
		t.poll(false)
		t.poll(false)
	})
}

// Snapshot looks at all threads now, out of turn, and returns when the Handler
// has it. It waits for as long as the kernel lets the snapshot wait.
func (t *Tracer) Snapshot() error {
	finished := make(chan struct{})
	err := t.inLoop(func() {
		s := &t.snaps
		switch {
		case t.iters.snapshot == nil:
			close(finished)
		case s.running: // began too early
			s.next = append(s.next, finished)
		default:
			s.now = append(s.now, finished)
			t.askSnapshot()
		}
	})
	if err != nil {
		return err
	}
	select {
	case <-finished:
		return nil
	case <-t.done:
		return ErrClosed
	}
}

func (t *Tracer) inLoop(f func()) error {
	t.mu.Lock()
	started, closed := t.started, t.closed
	t.mu.Unlock()
	switch {
	case closed:
		return ErrClosed
	case !started:
		return errors.New("capture: the tracer has not been started")
	}
	finished := make(chan struct{})
	select {
	case t.loop <- func() { f(); close(finished) }:
		<-finished
		return nil
	case <-t.done:
		return ErrClosed
	}
}

// poll reads all rings once. With all it holds nothing back.
func (t *Tracer) poll(all bool) {
	r := &t.read
	if err := t.clock.refresh(); err != nil {
		t.log.Error("cannot read the clock", zap.Error(err))
	}
	r.pollNo++
	cut := t.clock.lastMono - uint64(slack)
	if all {
		cut = ^uint64(0)
	}
	// The order gives the Handler a stack before the call that refers to it:
	// a call within the limit has its stack in the ring by now.
	for _, ring := range r.merger.rings {
		ring.snapshotLimit()
	}
	// At half the room in four times the time nothing is lost yet.
	r.crowded = t.stacks.AvailableBytes() > t.cfg.StackRingBytes/(2*quietPolls)
	t.drainStacks()
	t.drainEvents()
	t.drainContexts()
	t.drainWakings()
	r.merger.merge(cut, t.clock.offset, t.handler.Calls)
	if r.merger.room() {
		r.shareNo++
		if err := t.obj.set(captureVarPollNo, r.shareNo); err != nil {
			t.log.Error("cannot renew the shares of the rings", zap.Error(err))
		}
	}
	t.deliverExits(cut)

	var overwritten, torn uint64
	for _, ring := range r.merger.rings {
		overwritten += ring.overwritten
		torn += ring.torn
	}
	t.counts.overwritten.Store(overwritten)
	t.counts.torn.Store(torn)
	t.counts.calls.Store(r.merger.calls)
	t.counts.late.Store(r.merger.late)
	t.counts.read.Store(time.Now().UnixNano())
}

// deliverExits passes on the exits whose thread's calls have been delivered:
// read in an earlier poll, and older than what this one held back.
func (t *Tracer) deliverExits(cut uint64) {
	r := &t.read
	kept := r.exits[:0]
	for _, h := range r.exits {
		if h.poll == r.pollNo || h.at > cut {
			kept = append(kept, h)
			continue
		}
		if t.snaps.running && !t.snaps.warned {
			t.snaps.exited[h.exit.TID] = struct{}{}
		}
		t.handler.Exit(h.exit)
	}
	r.exits = kept
}

// drain reads one ring buffer empty, calling each for every record.
func (t *Tracer) drain(from *ringbuf.Reader, rec *ringbuf.Record, each func([]byte)) {
	from.SetDeadline(past)
	// What comes in while this runs may be left for the next poll, so that
	// a flood cannot keep the reader here.
	for budget := from.AvailableBytes(); budget > 0; {
		err := from.ReadInto(rec)
		if err != nil {
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				t.log.Error("cannot read an eBPF ring buffer", zap.Error(err))
			}
			return
		}
		budget -= len(rec.RawSample) + ringHeader
		each(rec.RawSample)
	}
}

// ringHeader is what the kernel adds to each record of a ring buffer.
const ringHeader = 8

func (t *Tracer) drainEvents() {
	t.drain(t.events, &t.read.event, func(b []byte) {
		e, err := decodeTaskEvent(b)
		if err != nil {
			t.malformed(err)
			return
		}
		t.counts.notices.Add(1)
		at := int64(e.time) + t.clock.offset
		switch e.kind {
		case eventFork:
			t.handler.Fork(Fork{ParentPID: int32(e.other), PID: int32(e.pid), TID: int32(e.tid), Time: at})
		case eventExec:
			t.handler.Exec(Exec{PID: int32(e.pid), Time: at})
		case eventExit:
			t.read.exits = append(t.read.exits, heldExit{
				exit: Exit{PID: int32(e.pid), TID: int32(e.tid), ProcessOver: e.other != 0, Time: at, CPUTime: durationOf(e.cpu), RunDelay: durationOf(e.delay)},
				at:   e.time, poll: t.read.pollNo,
			})
		}
	})
}

func (t *Tracer) drainStacks() {
	s := &t.read.stack
	t.drain(t.stacks, &t.read.record, func(b []byte) {
		defer clear(b) // user data
		if err := decodeStack(b, s); err != nil {
			t.malformed(err)
			return
		}
		s.Time += t.clock.offset
		if s.ID != 0 {
			t.counts.stacks.Add(1)
			t.handler.Stack(s)
		}
		if s.Kind == StackAtSample {
			t.counts.samples.Add(1)
			t.handler.Sample(Sample{PID: s.PID, TID: s.TID, Number: s.Number, Time: s.Time, Period: t.samplePeriod, StackID: s.ID})
		}
	})
}

func (t *Tracer) drainContexts() {
	if t.contexts == nil {
		return
	}
	t.drain(t.contexts, &t.read.event, func(b []byte) {
		c, err := decodeContext(b)
		if err != nil {
			t.malformed(err)
			return
		}
		t.counts.contexts.Add(1)
		c.Time += t.clock.offset
		t.handler.Context(c)
	})
}

func (t *Tracer) drainWakings() {
	if t.wakings == nil {
		return
	}
	t.drain(t.wakings, &t.read.event, func(b []byte) {
		w, err := decodeWaking(b)
		if err != nil {
			t.malformed(err)
			return
		}
		t.counts.wakings.Add(1)
		w.Time += t.clock.offset
		w.Start += t.clock.offset
		t.handler.Waking(w)
	})
}

func (t *Tracer) malformed(err error) {
	t.counts.malformed.Add(1)
	t.log.Error("an eBPF record cannot be decoded", zap.Error(err))
}
