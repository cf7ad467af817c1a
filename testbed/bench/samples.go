package bench

import (
	"errors"
	"io/fs"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// timeSamples has the kernel count the time of its eBPF programs, and returns
// what asks it how many seconds those that take samples of the processors ran
// since, and what ends the counting.
func timeSamples() (seconds func() (float64, error), stop func() error, err error) {
	stats, err := ebpf.EnableStats(unix.BPF_STATS_RUN_TIME)
	if err != nil {
		return nil, nil, err
	}
	before, err := sampleTime()
	if err != nil {
		return nil, nil, errors.Join(err, stats.Close())
	}
	return func() (float64, error) {
		now, err := sampleTime()
		return (now - before).Seconds(), err
	}, stats.Close, nil
}

// sampleTime is how long programs on perf events ran while it was counted.
func sampleTime() (total time.Duration, err error) {
	for id := ebpf.ProgramID(0); ; {
		if id, err = ebpf.ProgramGetNextID(id); errors.Is(err, fs.ErrNotExist) {
			return total, nil
		} else if err != nil {
			return total, err
		}
		p, err := ebpf.NewProgramFromID(id)
		if errors.Is(err, fs.ErrNotExist) {
			continue // gone meanwhile
		}
		if err != nil {
			return total, err
		}
		if p.Type() == ebpf.PerfEvent {
			s, err := p.Stats()
			if err != nil {
				return total, errors.Join(err, p.Close())
			}
			total += s.Runtime
		}
		if err := p.Close(); err != nil {
			return total, err
		}
	}
}
