package syscallreceiver

import (
	"fmt"
	"strings"

	"github.com/perfscope/perfscope/internal/habit"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

const (
	// maxHabits bounds the services whose habits are kept, about 60 KiB each.
	maxHabits = 256
	// habitIdle is for how many flushes the habits of a service are kept that
	// nothing is heard of.
	habitIdle = 120
)

// suspicion compares what the watch sees of each service with its habits. It
// belongs to whoever packs the parcels.
type suspicion struct {
	services map[string]*watched
	// raise gets a service that leaves them; it never blocks.
	raise func(service, why string)
}

type watched struct {
	name, arch string
	habit      *habit.Service
	idle       int
}

func newSuspicion(raise func(service, why string)) *suspicion {
	return &suspicion{services: map[string]*watched{}, raise: raise}
}

// see takes what the watch saw of a thread.
func (s *suspicion) see(id *identity, arch, thread string, events []threadtrace.Event) {
	w := s.services[id.key]
	if w == nil {
		if len(s.services) >= maxHabits {
			return
		}
		w = &watched{name: id.ServiceName, arch: arch, habit: habit.NewService()}
		s.services[id.key] = w
	}
	w.idle = 0
	role := strings.TrimRight(thread, "0123456789")
	for i := range events {
		switch e := &events[i]; e.Kind {
		case threadtrace.KindSample:
			w.habit.Add(habit.Feature{Role: role}, float64(e.Duration)/1e9)
		case threadtrace.KindBlocked:
			w.habit.Add(habit.Feature{Role: role, Waiting: true, Number: e.Number}, float64(e.Duration)/1e9)
		}
	}
}

// close ends a flush.
func (s *suspicion) close(now int64) {
	for id, w := range s.services {
		if w.idle++; w.idle > habitIdle {
			delete(s.services, id)
			continue
		}
		if c, left := w.habit.Close(now); left {
			s.raise(w.name, w.describe(c))
		}
	}
}

func (w *watched) describe(c habit.Change) string {
	what := "CPUs used by"
	if c.Waiting {
		what = "threads waiting in " + threadtrace.Name(w.arch, c.Number) + ", of"
	}
	return fmt.Sprintf("%.2f %s %q, usually %.2f", c.Now, what, c.Role, c.Usual)
}
