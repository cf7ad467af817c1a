package syscallreceiver

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/perfscope/perfscope/internal/cleantext"
	"github.com/perfscope/perfscope/internal/stack"
)

const (
	// maxAlone bounds those reported on the status at a time, maxQuarantines those
	// that wait to be reported.
	maxAlone, maxQuarantines = 16, 64
)

// alone are the processes, modules and perf maps that are left alone because they
// cost too much. Each is told once in the log, and is on the status of the
// component for as long as it lasts.
type alone struct {
	stats *stats
	came  chan stack.Quarantine

	mu  sync.Mutex
	now []lonely
}

type lonely struct {
	what  string
	until time.Time // zero is for good: it is no trouble of the component's
}

func newAlone(s *stats) *alone {
	return &alone{stats: s, came: make(chan stack.Quarantine, maxQuarantines)}
}

// put takes what is left alone from now on; it never blocks.
func (a *alone) put(q stack.Quarantine) {
	a.stats.quarantined(q.Kind)
	select {
	case a.came <- q:
	default: // it is counted
	}
}

// tell writes to the log what came since, and reports whether there was any.
func (a *alone) tell(logger *zap.Logger, now time.Time) bool {
	told := false
	for {
		select {
		case q := <-a.came:
			name := cleantext.Clean(q.Name, cleantext.MaxName)
			logger.Warn("Something is left alone because it costs too much: events go on, names of its functions are missing.",
				zap.String("kind", q.Kind), zap.String("name", name), zap.Int32("process.pid", q.PID), zap.Duration("for", q.For), zap.Error(q.Cause))
			if q.For > 0 {
				a.add(lonely{fmt.Sprintf("%s %s", q.Kind, name), now.Add(q.For)})
			}
			told = true
		default:
			return told
		}
	}
}

func (a *alone) add(l lonely) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.now = slices.DeleteFunc(a.now, func(old lonely) bool { return old.what == l.what })
	if len(a.now) < maxAlone {
		a.now = append(a.now, l)
	}
}

// trouble says what is left alone now; nil is nothing.
func (a *alone) trouble(now time.Time) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.now = slices.DeleteFunc(a.now, func(l lonely) bool { return !now.Before(l.until) })
	var errs []error
	for _, l := range a.now {
		errs = append(errs, fmt.Errorf("%s costs too much and is left alone", l.what))
	}
	return errors.Join(errs...)
}
