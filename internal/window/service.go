package window

import (
	"maps"
	"slices"
	"time"

	"github.com/perfscope/perfscope/internal/cluster"
	"github.com/perfscope/perfscope/internal/signature"
	"github.com/perfscope/perfscope/internal/suspect"
	"github.com/perfscope/perfscope/internal/syscalltrace"
	"github.com/perfscope/perfscope/internal/unit"
)

// Service is the window of one service instance. It is not safe for
// concurrent use. Its memory is bounded by Config.MaxUnits, the constants of
// this package and suspect.MaxStacks; Stats.Bytes estimates it.
type Service struct {
	cfg     Config
	arch    string
	classes *syscalltrace.Classes
	stacks  *suspect.Stacks
	threads map[int32]*thread
	open    []*hop
	closed  []*closedHop
	// lastClosed is the end of the newest hop that is over.
	lastClosed int64
	// familiar has the stacks of the past hops.
	familiar map[uint32]bool
	hops     int
	tracker  cluster.Tracker
	clusters int
	episode  *episode
	stats    Stats
	interned []interned
	// signatures name calls without a stack; nil when there are none for the
	// program whose batches come. matchers has those of all programs.
	signatures *signatures
	matchers   map[*signature.Matcher]*signatures
	bursts     bursts
}

// NewService starts the window of a service whose machine has the
// architecture arch ("amd64", "arm64").
func NewService(cfg Config, arch string) *Service {
	return &Service{
		cfg: cfg, arch: arch,
		classes:  syscalltrace.NewClasses(arch),
		stacks:   suspect.NewStacks(),
		threads:  map[int32]*thread{},
		familiar: map[uint32]bool{},
	}
}

// AddCoverage takes what was looked at of one of the service's processes.
func (s *Service) AddCoverage(c syscalltrace.Coverage) {
	if c.End <= c.Start {
		return
	}
	s.bursts.cover(&c)
	// A flush may reach over the edge of a hop: each has its part of it. One
	// that is longer than all open hops says nothing about any.
	length := int64(s.cfg.Hop)
	for from, n := c.Start, 0; from < c.End && n < maxOpen; n++ {
		to := min(c.End, from-from%length+length)
		part := c
		part.Start, part.End = from, to
		scale := float64(to-from) / float64(c.End-c.Start)
		part.CPUTime = time.Duration(float64(c.CPUTime) * scale)
		part.Traced = time.Duration(float64(c.Traced) * scale)
		if from > c.Start {
			part.Dropped = nil
		}
		s.hopAt(from).cover(&part)
		from = to
	}
}

// AddBatch folds the events of one thread into their hops. It keeps nothing
// of the batch.
func (s *Service) AddBatch(b *syscalltrace.Batch) {
	if len(b.Events) == 0 {
		return
	}
	s.interned = s.interned[:0]
	for i := range b.Stacks {
		s.interned = append(s.interned, interned{stack: s.stacks.Intern(&b.Stacks[i])})
	}
	th := s.thread(b.ThreadID, b.Events[0].Time)
	if th != nil && b.Dropped > 0 {
		th.place = signature.Thread{} // where the lost calls belong nobody knows
	}
	var h *hop
	emit := s.emit(th)
	for i := range b.Events {
		e := b.Events[i]
		if e.Stack != 0 && int(e.Stack) <= len(s.interned) {
			e.Stack = s.identify(&b.Stacks[e.Stack-1], &s.interned[e.Stack-1], e.Kind)
		} else {
			e.Stack = 0
		}
		if at := e.End(); h == nil || at < h.start || at >= h.end {
			h = s.hopAt(at)
		}
		if th != nil && len(s.bursts.edges) > 0 {
			s.bursts.breakBefore(th, e.End(), emit)
		}
		if s.signatures != nil {
			s.name(h, th, &e)
		}
		s.fold(h, th, b.ThreadID, &e)
		if th != nil {
			th.lastSeen = max(th.lastSeen, e.End())
			th.segmenter.Add(&e, emit)
		}
	}
	h.dropped += b.Dropped
}

// interned is the identifiers of a stack of a batch: its own, and that of the place,
// zero until something waits there.
type interned struct{ stack, place uint32 }

// identify is the identifier of the stack of an event.
func (s *Service) identify(stack *syscalltrace.Stack, id *interned, kind syscalltrace.Kind) uint32 {
	if kind != syscalltrace.KindBlocked {
		return id.stack
	}
	if id.place == 0 {
		id.place = s.stacks.InternPlace(stack)
	}
	return id.place
}

// emit takes the units of a thread.
func (s *Service) emit(th *thread) func(*unit.Unit) {
	return func(u *unit.Unit) {
		// A unit is known to have ended when the wait after it is over; if
		// its hop was judged meanwhile, it was judged as an open one. Units of
		// threads without a past have no neighbours, and one that was cut has
		// no length to compare.
		if u.End >= s.lastClosed && !s.fresh(th) && !u.Cut {
			s.hopAt(u.End).units.add(u)
		}
	}
}

func (s *Service) fold(h *hop, th *thread, tid int32, e *syscalltrace.Event) {
	switch e.Kind {
	case syscalltrace.KindCall:
		h.call(e, e.Stack, s.classes.Of(e.Number))
		if e.Return < 0 && s.isRefusal(unit.KeyOf(e.Number, e.Return)) {
			h.refusedThread(tid, e)
		}
	case syscalltrace.KindInFlight:
		if e.Cut {
			h.cutOff(e)
		}
	case syscalltrace.KindSample:
		s.recognise(h, th, e.Stack)
		h.see(threadCell{thread: tid, stack: e.Stack, fresh: s.fresh(th)}, e)
		if e.Number == syscalltrace.NoCall {
			h.cpuOutside += e.Duration
		}
	case syscalltrace.KindBlocked:
		h.gaps += e.Duration
		h.looks++
		if st := s.stacks.Get(e.Stack); st.Shared && !st.Lock && s.mayIdle(e.Number) {
			e.Stack = s.stacks.Nobodys(e.Stack) // the pool of a library, not amid work
		}
		s.recognise(h, th, e.Stack)
		h.see(threadCell{thread: tid, stack: e.Stack, number: e.Number, waiting: true, fresh: s.fresh(th)}, e)
	}
}

// fresh reports whether a thread has no past while the service has one.
func (s *Service) fresh(th *thread) bool { return th != nil && !th.known && s.hops >= minPast }

// recognise marks a thread as known once it runs or waits in familiar code,
// or when threads of its role were born in at least half of the past hops: a
// server that makes one per connection.
func (s *Service) recognise(h *hop, th *thread, stack uint32) {
	if th == nil || stack == 0 || th.placed && th.known {
		return
	}
	if role, ok := s.role(stack); ok && !th.placed {
		th.placed = true
		h.born[role] = true
		births := 0
		for _, c := range s.closed {
			if c.born[role] {
				births++
			}
		}
		th.known = th.known || births >= minPast/2 && 2*births >= len(s.closed)
	}
	th.known = th.known || s.familiar[s.stacks.Plain(stack)]
}

// mayIdle reports whether a thread can be waiting for something to do in a
// call.
func (s *Service) mayIdle(number int32) bool {
	return s.classes.Is(number, syscalltrace.ClassIdle|syscalltrace.ClassReadLike)
}

func (s *Service) thread(id int32, at int64) *thread {
	th := s.threads[id]
	if th == nil {
		if len(s.threads) >= maxThreads {
			s.stats.ThreadsOverflow++
			return nil
		}
		th = &thread{segmenter: unit.NewSegmenter(s.classes, id), lastSeen: at}
		s.threads[id] = th
	}
	return th
}

// hopAt returns the open hop that holds an instant; the oldest open one for
// what comes late, the newest for what is too far ahead.
func (s *Service) hopAt(at int64) *hop {
	length := int64(s.cfg.Hop)
	start := at - at%length
	if start < s.lastClosed {
		s.stats.LateEvents++
		start = s.lastClosed
	}
	i, found := slices.BinarySearchFunc(s.open, start, func(h *hop, t int64) int { return int(h.start/length - t/length) })
	if found {
		return s.open[i]
	}
	if len(s.open) >= maxOpen {
		return s.open[min(i, len(s.open)-1)]
	}
	h := newHop(start, start+length, s.cfg.MaxUnits/int(s.cfg.Window/s.cfg.Hop))
	s.open = slices.Insert(s.open, i, h)
	return h
}

// Advance closes the hops that ended by now (nanoseconds since the epoch, in
// the events' time) and returns what is abnormal in them.
func (s *Service) Advance(now int64) []suspect.Anomaly {
	var found []suspect.Anomaly
	for len(s.open) > 0 && s.open[0].end <= now {
		h := s.open[0]
		s.open = s.open[1:]
		if a, ok := s.closeHop(h); ok {
			found = append(found, a)
		}
	}
	return found
}

func (s *Service) closeHop(h *hop) (suspect.Anomaly, bool) {
	s.lastClosed = h.end
	for _, id := range slices.Sorted(maps.Keys(s.threads)) {
		th := s.threads[id]
		s.bursts.breakBefore(th, h.end, s.emit(th))
		if u := th.segmenter.Open(h.end); u != nil && u.End > h.start && !s.fresh(th) && !u.Cut {
			h.units.add(u)
		}
		th.segmenter.Mark()
		if s.episode == nil && th.lastSeen > h.start {
			if th.hops++; th.hops > enoughHops {
				th.known = true
			}
		}
		if h.end-th.lastSeen > int64(s.cfg.Window) {
			delete(s.threads, id)
		}
	}
	s.stats.UnitsSeen += h.units.seen
	s.stats.UnitsEvicted += h.units.evicted
	if s.signatures != nil {
		s.withoutInferred(h.callSites)
	}
	c := h.close(s.classes)
	if c == nil {
		return suspect.Anomaly{}, false
	}
	s.stats.HopsJudged++
	s.describeThreads(c)
	s.setParkedApart(c)
	anomaly, abnormal := s.judge(c)
	if !abnormal {
		s.remember(c)
	}
	return anomaly, anomaly.Score > 0
}

// describeThreads sets what the hop says of single threads.
func (s *Service) describeThreads(c *closedHop) {
	c.homes, c.spinning = map[int32]bool{}, map[int32]bool{}
	seen, waited := map[int32]bool{}, map[int32]bool{}
	busy := map[int32]int64{}
	shareOf := func(time int64) float64 { return float64(time) / 1e9 / c.seconds }
	for cell, t := range c.spans {
		seen[cell.thread] = true
		if !cell.waiting {
			busy[cell.thread] += t.time
			continue
		}
		waited[cell.thread] = true
		if shareOf(t.time) >= idleShare && s.idleCapable(waitSite{cell.stack, cell.number}) {
			c.homes[cell.thread] = true
		}
	}
	c.threads = len(seen)
	for id, time := range busy {
		// With fewer than every other sample missing it had the CPU, or
		// waited for one, all the time.
		c.spinning[id] = id != 0 && !waited[id] && shareOf(time) >= 0.5
	}
}

// background is the part of a service's CPU time below which a thread does not
// serve its requests: of ten threads that share the work evenly each has more.
const background = 0.1

// setParkedApart counts the wait of one thread alone among those of threads
// without a past, if it could be waiting for something to do and does none of the
// service's work. A connection's thread that a cache keeps for the next one has
// worked at places that are known, and now waits where none has waited before; a
// background thread that mostly idles (a checkpoint that spreads its writes) does
// so at another place for a while, now and then at work. Where a call hangs there is
// soon a second thread, or a lock, or less is done.
func (s *Service) setParkedApart(c *closedHop) {
	if s.hops < minPast {
		return
	}
	busy, total := map[int32]float64{}, 0.0
	for cell, t := range c.spans {
		if !cell.waiting {
			busy[cell.thread] += float64(t.time)
			total += float64(t.time)
		}
	}
	// Of a service with little to do one sample may be a tenth of all.
	serves := background*total + c.seconds*noise(background*total/c.seconds, c.period.sample)
	for cell := range c.spans {
		site := waitSite{cell.stack, cell.number}
		w, ok := c.wait[site]
		if !cell.waiting || cell.fresh || !ok || w.threads != 1 || !s.idleCapable(site) {
			continue
		}
		th := s.threads[cell.thread]
		late := th != nil && th.hops < minPast
		if !late && (w.longest >= stuckAfter || busy[cell.thread] >= serves || !s.mostlyIdles(cell.thread)) {
			continue
		}
		w.threads += c.fresh[site].threads
		w.time += c.fresh[site].time
		w.longest = max(w.longest, c.fresh[site].longest)
		c.fresh[site] = w
		delete(c.wait, site)
	}
}

// mostlyIdles reports whether a thread idled in at least half of the past hops.
func (s *Service) mostlyIdles(thread int32) bool {
	n := 0
	for _, c := range s.closed {
		if c.homes[thread] {
			n++
		}
	}
	return 2*n >= len(s.closed)
}

// remember adds a hop to the past.
func (s *Service) remember(c *closedHop) {
	c.spans, c.refused, c.orders = nil, nil, nil
	s.closed = append(s.closed, c)
	s.hops++
	if limit := int(s.cfg.Window / s.cfg.Hop); len(s.closed) > limit {
		s.closed = slices.Delete(s.closed, 0, len(s.closed)-limit)
	}
	// The newest hop is not yet held against anything (see judge), so what
	// it has first is not familiar before the next.
	if n := len(s.closed); n > 1 {
		s.familiarise(s.closed[n-2])
	}
}

func (s *Service) familiarise(c *closedHop) {
	for stack := range c.cpu {
		s.familiar[stack] = true
	}
	for site := range c.wait {
		s.familiar[s.stacks.Plain(site.stack)] = true
	}
	for site := range c.fresh {
		if s.idleCapable(site) {
			s.familiar[s.stacks.Plain(site.stack)] = true
		}
	}
}

// Stats returns what the window holds.
func (s *Service) Stats() Stats {
	st := s.stats
	st.Hops, st.Clusters, st.Threads, st.Stacks = len(s.closed), s.clusters, len(s.threads), s.stacks.Len()
	// Sizes of the structures, measured once with unsafe.Sizeof and rounded up
	// to what the allocator gives; maps count one and a half times.
	const perUnit, perCount, perStack, perCell, perThread = 176, 32, 160, 64, 640
	cells := 0
	for _, c := range s.closed {
		st.Units += len(c.units)
		cells += len(c.cpu) + len(c.wait) + len(c.calls) + len(c.callSites)
		for _, u := range c.units {
			st.Bytes += perUnit + perCount*int64(len(u.Calls)+len(u.Stacks))
		}
	}
	for _, h := range s.open {
		cells += len(h.cells) + len(h.callSites) + len(h.failed) + 512
	}
	st.Bytes += int64(cells)*perCell + int64(st.Stacks)*perStack + int64(len(s.threads))*perThread
	return st
}
