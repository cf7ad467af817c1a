package syscallreceiver

import (
	"io/fs"
	"math"
	"os"
	"path"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"strconv"
	"strings"

	"go.uber.org/zap"
)

const (
	// memoryShare is the share of a control group's memory that Go is told to keep
	// to, as the documentation of the memory_limiter processor advises for GOMEMLIMIT.
	memoryShare = 0.8
	// usualMemory is what Go is told to keep to as long as that is enough (bytes):
	// with the rings and the program itself the collector stays below 512 MiB then.
	// Without a limit Go lets garbage become as large as what is in use.
	usualMemory = 384 << 20
	// memoryRoom is how many times what is in use the limit is at least: the
	// collector's other components may hold more than this one, and close to the
	// limit Go does little else than look for garbage.
	memoryRoom = 1.5
)

// memoryLimit has Go's collector of garbage work harder rather than let the process
// grow, or be killed, unless GOMEMLIMIT is set. A run's loop has it.
type memoryLimit struct {
	logger *zap.Logger
	// ceiling is the most that the limit may become, now what it is (bytes).
	ceiling, now int64
}

// limitMemory sets the limit; nil is that somebody else has.
func limitMemory(logger *zap.Logger) *memoryLimit {
	if debug.SetMemoryLimit(-1) != math.MaxInt64 {
		return nil // GOMEMLIMIT is set
	}
	m := &memoryLimit{logger: logger, ceiling: math.MaxInt64}
	if bound := groupMemory(os.DirFS("/").(fs.ReadFileFS)); bound > 0 {
		m.ceiling = int64(memoryShare * float64(bound))
	}
	m.follow(0)
	return m
}

// follow sets the limit by what is in use (bytes).
func (m *memoryLimit) follow(used int64) {
	if m == nil {
		return
	}
	limit := limitFor(used, m.now, m.ceiling)
	if limit == m.now {
		return
	}
	if m.now != 0 && limit > m.now {
		m.logger.Info("The collector holds much: Go's memory limit is raised.", zap.Int64("bytes", limit), zap.Int64("in_use", used))
	}
	m.now = limit
	debug.SetMemoryLimit(limit)
}

// limitFor is the limit while so much is in use; it changes by steps.
func limitFor(used, now, ceiling int64) int64 {
	least := max(usualMemory, int64(memoryRoom*float64(used)))
	switch {
	case now < least: // with some room, so that it need not be raised at once again
		least = max(usualMemory, int64(memoryRoom*memoryRoom*float64(used)))
	case now <= 2*least:
		return now
	}
	return min(least, ceiling)
}

// close takes the limit away.
func (m *memoryLimit) close() {
	if m != nil {
		debug.SetMemoryLimit(math.MaxInt64)
	}
}

// heapInUse is what the last collection of garbage found to be in use (bytes).
func heapInUse() int64 {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	if sample[0].Value.Kind() != metrics.KindUint64 {
		return 0
	}
	return int64(sample[0].Value.Uint64()) //nolint:gosec // far below
}

// groupMemory is the least bound of this process's control group and those around
// it, of either version, in bytes; zero is none.
func groupMemory(root fs.ReadFileFS) int64 {
	data, err := root.ReadFile("proc/self/cgroup")
	if err != nil {
		return 0
	}
	var least int64
	for line := range strings.Lines(string(data)) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) < 3 {
			continue
		}
		dir, file := "sys/fs/cgroup", "memory.max"
		switch {
		case slices.Contains(strings.Split(fields[1], ","), "memory"):
			dir, file = "sys/fs/cgroup/memory", "memory.limit_in_bytes"
		case fields[0] != "0":
			continue
		}
		for at := fields[2]; ; at = path.Dir(at) {
			text, err := root.ReadFile(path.Join(dir, at, file))
			if n, bad := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil && bad == nil && n > 0 && n < unbounded && (least == 0 || n < least) {
				least = n
			}
			if at == "/" || at == "." {
				break
			}
		}
	}
	return least
}

// unbounded is what version 1 says about when there is no bound (bytes).
const unbounded = 1 << 60
