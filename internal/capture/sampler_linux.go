//go:build linux && (amd64 || arm64)

package capture

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// sampler holds one cpu-clock event per CPU. Closing an event's descriptor, as
// the kernel does when the process dies, detaches the program.
type sampler struct {
	fds []int
	hz  int
}

// maxSampleRate bounds the frequency of perf events. The kernel lowers it by
// itself where interrupts take long, as in a virtual machine without a CPU.
const maxSampleRate = "/proc/sys/kernel/perf_event_max_sample_rate"

// startSampler runs prog hz times a second on every CPU online now, or as often
// as the kernel allows.
func startSampler(prog *ebpf.Program, hz int) (*sampler, error) {
	s, err := sampleAt(prog, hz)
	if !errors.Is(err, unix.EINVAL) {
		return s, err
	}
	text, readErr := os.ReadFile(maxSampleRate)
	if readErr != nil {
		return nil, err
	}
	allowed, readErr := strconv.Atoi(strings.TrimSpace(string(text)))
	if readErr != nil || allowed < 1 || allowed >= hz {
		return nil, err
	}
	return sampleAt(prog, allowed)
}

func sampleAt(prog *ebpf.Program, hz int) (_ *sampler, err error) {
	list, err := os.ReadFile("/sys/devices/system/cpu/online")
	if err != nil {
		return nil, fmt.Errorf("capture: cannot tell which CPUs are online: %w", err)
	}
	cpus, err := parseCPUList(string(list))
	if err != nil {
		return nil, fmt.Errorf("capture: cannot tell which CPUs are online: %w", err)
	}
	s := &sampler{hz: hz}
	defer func() {
		if err != nil {
			_ = s.close()
		}
	}()
	attr := unix.PerfEventAttr{
		Type:   unix.PERF_TYPE_SOFTWARE,
		Size:   uint32(unsafe.Sizeof(unix.PerfEventAttr{})),
		Config: unix.PERF_COUNT_SW_CPU_CLOCK,
		Sample: uint64(hz),
		Bits:   unix.PerfBitFreq | unix.PerfBitDisabled | unix.PerfBitExcludeIdle,
	}
	for _, cpu := range cpus {
		fd, err := unix.PerfEventOpen(&attr, -1, cpu, -1, unix.PERF_FLAG_FD_CLOEXEC)
		if err != nil {
			if errors.Is(err, unix.ENODEV) {
				continue // went offline since
			}
			return nil, refused(fmt.Sprintf("cannot open the sampling clock of CPU %d", cpu), err)
		}
		s.fds = append(s.fds, fd)
		if err := unix.IoctlSetInt(fd, unix.PERF_EVENT_IOC_SET_BPF, prog.FD()); err != nil {
			return nil, refused(fmt.Sprintf("cannot attach the sampler to CPU %d", cpu), err)
		}
		if err := unix.IoctlSetInt(fd, unix.PERF_EVENT_IOC_ENABLE, 0); err != nil {
			return nil, fmt.Errorf("capture: cannot start the sampler on CPU %d: %w", cpu, err)
		}
	}
	return s, nil
}

func (s *sampler) close() error {
	var errs []error
	for _, fd := range s.fds {
		errs = append(errs, unix.Close(fd))
	}
	s.fds = nil
	return errors.Join(errs...)
}

// parseCPUList reads the kernel's form of a set of CPUs, as in "0-3,8".
func parseCPUList(s string) ([]int, error) {
	var cpus []int
	for part := range strings.SplitSeq(strings.TrimSpace(s), ",") {
		lo, hi, isRange := strings.Cut(part, "-")
		first, err := strconv.Atoi(lo)
		if err != nil {
			return nil, fmt.Errorf("CPU list %q: %w", s, err)
		}
		last := first
		if isRange {
			if last, err = strconv.Atoi(hi); err != nil {
				return nil, fmt.Errorf("CPU list %q: %w", s, err)
			}
		}
		if first < 0 || last < first || last > 65535 {
			return nil, fmt.Errorf("CPU list %q: bad range %s", s, part)
		}
		for c := first; c <= last; c++ {
			cpus = append(cpus, c)
		}
	}
	return cpus, nil
}
