package syscallreceiver

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/perfscope/perfscope/internal/process"
)

// perfMaps has the JVMs among the targets write down what they have compiled,
// which they do when asked, and only all of it.
type perfMaps struct {
	interval time.Duration
	logger   *zap.Logger
	// runtime names the language runtime of a process, write asks a JVM.
	runtime func(pid int32) string
	write   func(ctx context.Context, pid int32) error

	mu      sync.Mutex
	targets map[int32]time.Time // when they were created
	// told has the processes of whose trouble the log knows; the goroutine's.
	told map[int32]time.Time
}

// follow takes the processes that are recorded now.
func (m *perfMaps) follow(all []*process.Process) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.targets = make(map[int32]time.Time, len(all))
	for _, p := range all {
		m.targets[p.PID] = p.Created
	}
}

func (m *perfMaps) run(ctx context.Context) {
	tick := time.NewTicker(m.interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			m.ask(ctx)
		}
	}
}

// ask goes through the JVMs, one after the other: each takes the time of a map.
func (m *perfMaps) ask(ctx context.Context) {
	m.mu.Lock()
	targets := m.targets
	m.mu.Unlock()
	maps.DeleteFunc(m.told, func(pid int32, created time.Time) bool { return !targets[pid].Equal(created) })
	for _, pid := range slices.Sorted(maps.Keys(targets)) {
		if ctx.Err() != nil {
			return
		}
		if _, troubled := m.told[pid]; troubled || m.runtime(pid) != "jvm" {
			continue // one that refused once is not asked again
		}
		if err := m.write(ctx, pid); err != nil && ctx.Err() == nil {
			m.told[pid] = targets[pid]
			m.logger.Warn("A JVM did not write its perf map and is not asked again: its compiled functions have no names.",
				zap.Int32("process.pid", pid), zap.Error(err))
		}
	}
}
