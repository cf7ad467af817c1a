package scoreboard

import (
	"errors"
	"path/filepath"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/perfscope/perfscope/pkg/inference/thin"
	"github.com/perfscope/perfscope/pkg/threadtrace"
	"github.com/perfscope/perfscope/pkg/threadtrace/tracelog"
	"github.com/perfscope/perfscope/testbed/recording"
)

// Service is the records of one service instance, in the order of delivery.
type Service struct {
	Name, Instance, Arch string
	// Program is the name of its program's file, empty in a thin recording.
	Program string
	// PIDs are its processes.
	PIDs map[int64]bool
	// Flushes are what was delivered at once.
	Flushes []Flush
	// Intervals are what a thin recording has in their place.
	Intervals []*thin.Interval
}

// Flush is what was delivered of one process at once.
type Flush struct {
	Batches   []*threadtrace.Batch
	Coverages []*threadtrace.Coverage
	Machines  []*threadtrace.Machine
	// Latest is the newest instant it tells of, in nanoseconds since the epoch.
	Latest int64
}

// Read gives the services of a recording that want accepts, nil for all. One that
// ends within a message is read up to there. A thin one is read as a whole: it was
// made of those that count.
func Read(path string, want func(name string, pid int64) bool) ([]*Service, error) {
	if IsThin(path) {
		return ReadThin(path)
	}
	var order []*Service
	err := readFlushes(path, want, func(s *Service, f Flush) {
		if len(s.Flushes) == 0 {
			order = append(order, s)
		}
		s.Flushes = append(s.Flushes, f)
	})
	return order, err
}

// readFlushes gives what was delivered of services, in its order.
func readFlushes(path string, want func(name string, pid int64) bool, each func(*Service, Flush)) error {
	known := map[[2]string]*Service{}
	err := recording.Read(path, func(ld plog.Logs) error {
		for _, rl := range ld.ResourceLogs().All() {
			attrs := rl.Resource().Attributes()
			name, pid := text(attrs, "service.name"), integer(attrs, "process.pid")
			if want != nil && !want(name, pid) {
				continue
			}
			key := [2]string{name, text(attrs, "service.instance.id")}
			s := known[key]
			if s == nil {
				s = &Service{Name: name, Instance: key[1], Arch: text(attrs, "host.arch"), Program: filepath.Base(text(attrs, "process.executable.path")), PIDs: map[int64]bool{}}
				known[key] = s
			}
			s.PIDs[pid] = true
			if f, err := decode(rl, s.Arch); err != nil {
				return err
			} else if f.Latest > 0 {
				each(s, f)
			}
		}
		return nil
	})
	if errors.Is(err, recording.ErrTruncated) {
		err = nil
	}
	return err
}

// span is the first and the last instant that was delivered of a service, false when
// nothing was.
func (s *Service) span() (from, to int64, ok bool) {
	switch n, m := len(s.Intervals), len(s.Flushes); {
	case n > 0:
		return s.Intervals[0].Start, s.Intervals[n-1].End, true
	case m > 0:
		return s.Flushes[0].Latest, s.Flushes[m-1].Latest, true
	}
	return 0, 0, false
}

func decode(rl plog.ResourceLogs, arch string) (f Flush, err error) {
	h := tracelog.Handler{
		Arch: arch,
		Batch: func(_ string, b *threadtrace.Batch) {
			for i := range b.Events {
				f.Latest = max(f.Latest, b.Events[i].End())
			}
			f.Batches = append(f.Batches, b)
		},
		Coverage: func(c *threadtrace.Coverage) {
			f.Latest = max(f.Latest, c.End)
			f.Coverages = append(f.Coverages, c)
		},
		Machine: func(m *threadtrace.Machine) { f.Machines = append(f.Machines, m) },
	}
	for _, sl := range rl.ScopeLogs().All() {
		err = errors.Join(err, errors.Join(tracelog.Decode(sl.LogRecords(), h)...))
	}
	return f, err
}

// Shift moves all times of a service.
func (s *Service) Shift(by time.Duration) {
	if by == 0 {
		return
	}
	for _, i := range s.Intervals {
		i.Shift(by)
	}
	for i := range s.Flushes {
		f := &s.Flushes[i]
		f.Latest += int64(by)
		for _, b := range f.Batches {
			for j := range b.Events {
				b.Events[j].Time += int64(by)
			}
		}
		for _, c := range f.Coverages {
			c.Start += int64(by)
			c.End += int64(by)
		}
		for _, m := range f.Machines {
			m.Start += int64(by)
			m.End += int64(by)
		}
	}
}

func text(attrs pcommon.Map, key string) string {
	if v, ok := attrs.Get(key); ok {
		return v.AsString()
	}
	return ""
}

func integer(attrs pcommon.Map, key string) int64 {
	if v, ok := attrs.Get(key); ok {
		return v.Int()
	}
	return 0
}
