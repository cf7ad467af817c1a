package syscallreceiver

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"go.uber.org/zap"

	"github.com/perfscope/perfscope/internal/process"
)

// scout finds targets in a goroutine of its own: a look at a large host takes
// milliseconds, in which the rings would fill.
type scout struct {
	finder   *process.Discoverer
	interval time.Duration
	stats    *stats
	logger   *zap.Logger
	notices  chan notice
	now      func() int64
	// chosen, if not nil, takes the targets of each scan.
	chosen  func([]*process.Process)
	silence *silence
	news    *news
	// busy is the CPU time of this goroutine's thread; paid is what looks may
	// still take of the second that began at second.
	busy   func() time.Duration
	paid   time.Duration
	second time.Time
	// stretched is set once it was told that scans are too dear.
	stretched bool
	// found and answer take results; trouble takes the state of the scans: what
	// could not be read, and that there is no target. Both are nil when all is
	// well again.
	found   func(start int64, all []*process.Process)
	answer  func(pid int32, looked int64, p *process.Process)
	trouble func(unread, silent error)
}

const (
	// scanShare is the share of one CPU that looking for targets may take, by
	// scans, and as much again by looks at processes that start between them.
	scanShare = 0.05
	// slowest is the longest time between two scans that this makes.
	slowest = time.Minute
)

// maxNotices bounds the questions that wait; a scan answers those beyond.
const maxNotices = 4096

// tell asks about a process; it never blocks.
func (s *scout) tell(n notice) {
	select {
	case s.notices <- n:
	default:
	}
}

func (s *scout) run(ctx context.Context) {
	// The CPU time is that of a thread.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer claims.end(s.news.self)
	timer := time.NewTimer(s.scan())
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			timer.Reset(s.scan())
		case n := <-s.notices:
			s.look(n)
		}
	}
}

// scan looks at all processes; it gives the time to the next one, longer than
// the interval where a scan is so dear that it would take more than scanShare.
func (s *scout) scan() (next time.Duration) {
	start, began := s.now(), s.busy()
	changes, err := s.finder.Scan()
	targets := s.finder.Processes()
	s.tellOf(changes)
	took := s.busy() - began
	next = max(s.interval, min(time.Duration(float64(took)/scanShare), slowest))
	if next >= 2*s.interval && !s.stretched {
		s.stretched = true
		s.logger.Warn("Looking for targets is dear: it is done less often than discovery_interval. Fewer rules, and executable rather than command or otel_service_name, make it cheaper.",
			zap.Duration("cpu_time", took), zap.Int("rules", len(s.news.rules)), zap.Duration("discovery_interval", s.interval), zap.Duration("now_every", next))
	}
	if err != nil {
		s.trouble(fmt.Errorf("%w: %w", errDiscovery, err), nil)
		return next
	}
	s.found(start, targets)
	if s.chosen != nil {
		s.chosen(targets)
	}
	unread := s.finder.Unreadable()
	idle, silent := s.silence.look(time.Unix(0, start), targets)
	s.stats.idleRules.Store(int64(idle))
	s.stats.unreadable.Store(int64(unread))
	s.trouble(unreadable(unread, changes.Refused, missingToRead()), silent)
	return next
}

// tellOf counts and logs what could not be done.
func (s *scout) tellOf(ch process.Changes) {
	s.stats.skipped.Add(int64(ch.Skipped))
	s.news.take(time.Unix(0, s.now()), ch.Started, ch.Ended)
	for _, path := range ch.Compat {
		s.logger.Warn("A 32-bit program is not followed: its system calls have other numbers than this machine's.",
			zap.String("executable", path))
	}
	if ch.Claims > 0 {
		s.logger.Warn("Processes claim the service.instance.id of another service's process: they go by ids of their own.",
			zap.Int("processes", ch.Claims))
	}
	if ch.Stuck != nil {
		s.stats.stuck.Add(1)
		s.logger.Warn("A process cannot be looked at.", zap.Error(ch.Stuck))
	}
}

// affords reports whether looks at single processes have not used up their share
// of this second yet.
func (s *scout) affords() bool {
	if now := time.Unix(0, s.now()); now.Sub(s.second) >= time.Second {
		s.second, s.paid = now, time.Duration(scanShare*float64(time.Second))
	}
	if s.paid > 0 {
		return true
	}
	s.stats.postponed.Add(1)
	return false
}

func (s *scout) look(n notice) {
	if n.kind != noticeExit && !s.affords() {
		return // the next scan finds out
	}
	began, looked := s.busy(), s.now()
	defer func() { s.paid -= s.busy() - began }()
	switch n.kind {
	case noticeFork:
		s.tellOf(s.finder.Forked(n.pid))
	case noticeExec:
		s.tellOf(s.finder.Execed(n.pid))
	case noticeExit:
		s.tellOf(s.finder.Exited(n.pid, time.Unix(0, n.at)))
		return
	}
	s.answer(n.pid, looked, s.finder.Process(n.pid))
}
