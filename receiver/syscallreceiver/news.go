package syscallreceiver

import (
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.uber.org/zap"

	"github.com/perfscope/perfscope/internal/process"
)

const (
	// newsPause is the least time between two lines about the instances of one
	// service: some are started a thousand times a minute.
	newsPause = time.Minute
	// maxNews bounds the services whose instances are counted.
	maxNews = 1024
)

// news says in the log which services come and go.
type news struct {
	logger   *zap.Logger
	self     component.ID
	rules    []process.Rule
	services map[string]*instances
}

// instances are those of one service.
type instances struct {
	count int
	// told is when a line was written last, untold how many more came since.
	told   time.Time
	untold int
}

func (n *news) take(now time.Time, started, ended []*process.Process) {
	for _, p := range started {
		// Of a service instance of several processes, the first is told.
		if p.Root == p.PID {
			n.came(now, p)
		}
		claims.take(n, p)
	}
	for _, p := range ended {
		claims.leave(n.self, p.PID)
		if s := n.services[p.ServiceName]; s != nil && p.Root == p.PID {
			n.went(now, s, p)
		}
	}
}

func (n *news) came(now time.Time, p *process.Process) {
	s := n.services[p.ServiceName]
	if s == nil {
		if len(n.services) >= maxNews {
			return
		}
		s = &instances{}
		n.services[p.ServiceName] = s
	}
	s.count++
	if !s.told.IsZero() && now.Sub(s.told) < newsPause {
		s.untold++
		return
	}
	fields := []zap.Field{
		zap.String("service.name", p.ServiceName), zap.Int32("process.pid", p.PID), zap.String("process.executable.path", p.Executable),
		zap.String("rule", n.rules[p.Rule].String()), zap.Int("instances", s.count),
	}
	if s.untold > 0 {
		fields = append(fields, zap.Int("not_told_since", s.untold))
	}
	s.told, s.untold = now, 0
	n.logger.Info("A service is found: it is recorded from now on.", fields...)
	if p.Executable == "" {
		n.logger.Warn("A service cannot be judged by function: its program cannot be read, so that nothing has a name.",
			zap.String("service.name", p.ServiceName), zap.Int32("process.pid", p.PID), zap.Strings("missing", missingToRead()))
	}
}

func (n *news) went(now time.Time, s *instances, p *process.Process) {
	s.count = max(s.count-1, 0)
	if s.count > 0 {
		return
	}
	// The last one: what came and went within a pause is not told twice.
	if now.Sub(s.told) < newsPause {
		s.untold++
		return
	}
	s.told = now
	n.logger.Info("A service is lost: its last process has ended, or no rule chooses it any more.",
		zap.String("service.name", p.ServiceName), zap.Int32("process.pid", p.PID))
}

// claims has who records which process, over all receivers of the collector: two
// on one service cost twice, and its events count twice.
var claims = claimed{owner: map[int32]component.ID{}}

type claimed struct {
	mu    sync.Mutex
	owner map[int32]component.ID
}

func (c *claimed) take(n *news, p *process.Process) {
	c.mu.Lock()
	defer c.mu.Unlock()
	owner, taken := c.owner[p.PID]
	if !taken {
		c.owner[p.PID] = n.self
		return
	}
	if owner != n.self && p.Root == p.PID {
		n.logger.Warn("Two syscall receivers record one service: it costs twice, and what it does counts twice. Give each its own targets, or use one in several pipelines.",
			zap.String("service.name", p.ServiceName), zap.Int32("process.pid", p.PID), zap.Stringer("other", owner))
	}
}

func (c *claimed) leave(owner component.ID, pid int32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.owner[pid] == owner {
		delete(c.owner, pid)
	}
}

// end gives up what a receiver recorded.
func (c *claimed) end(owner component.ID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for pid, o := range c.owner {
		if o == owner {
			delete(c.owner, pid)
		}
	}
}
