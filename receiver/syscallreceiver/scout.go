package syscallreceiver

import (
	"context"
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
	// found and answer take results; trouble takes the state of the scans,
	// nil when all is well again.
	found   func(start int64, all []*process.Process)
	answer  func(pid int32, p *process.Process)
	trouble func(error)
}

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
	ticker := time.NewTicker(s.interval)
	defer ticker.Stop()
	s.scan()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			s.scan()
		case n := <-s.notices:
			s.look(n)
		}
	}
}

func (s *scout) scan() {
	start := s.now()
	changes, err := s.finder.Scan()
	s.tellOf(changes)
	if err != nil {
		s.trouble(err)
		return
	}
	s.found(start, s.finder.Processes())
	s.trouble(changes.Refused)
}

// tellOf counts and logs what could not be done.
func (s *scout) tellOf(ch process.Changes) {
	s.stats.skipped.Add(int64(ch.Skipped))
	for _, path := range ch.Compat {
		s.logger.Warn("A 32-bit program is not followed: its system calls have other numbers than this machine's.",
			zap.String("executable", path))
	}
	if ch.Stuck != nil {
		s.stats.stuck.Add(1)
		s.logger.Warn("A process cannot be looked at.", zap.Error(ch.Stuck))
	}
}

func (s *scout) look(n notice) {
	switch n.kind {
	case noticeFork:
		s.tellOf(s.finder.Forked(n.pid))
	case noticeExec:
		s.tellOf(s.finder.Execed(n.pid))
	case noticeExit:
		// The leader may have ended before the last of its threads.
		if !s.finder.Alive(n.pid) {
			s.finder.Exited(n.pid)
		}
		return
	}
	s.answer(n.pid, s.finder.Process(n.pid))
}
