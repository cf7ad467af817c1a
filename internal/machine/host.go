package machine

import (
	"bytes"
	"path/filepath"
	"strings"

	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// tick is what /proc counts CPU time in: a hundredth of a second for user space on
// every architecture.
const tick = 10_000_000 // ns

// host takes the figures that all services of the host share.
func (r *Reader) host(put func(threadtrace.Measure, string, int64)) {
	if data, err := r.read(filepath.Join(r.proc, "stat")); err == nil {
		busy, steal := cpuTimes(data)
		put(threadtrace.MeasureHostBusy, "", busy)
		put(threadtrace.MeasureSteal, "", steal)
		put(threadtrace.MeasureCPUs, "", int64(bytes.Count(data, []byte("\ncpu"))))
	}
	if data, err := r.read(filepath.Join(r.proc, "pressure", "memory")); err == nil {
		if v, ok := pressure(data); ok {
			put(threadtrace.MeasureMemoryPressure, "", v)
		}
	}
	if data, err := r.read(filepath.Join(r.proc, "diskstats")); err == nil {
		for _, d := range parseDisks(data) {
			r.devices[d.number] = d.name
			if d.operations == 0 {
				continue
			}
			put(threadtrace.MeasureDiskOperations, d.name, d.operations)
			put(threadtrace.MeasureDiskTime, d.name, d.time)
			put(threadtrace.MeasureDiskBusy, d.name, d.busy)
			put(threadtrace.MeasureDiskBytes, d.name, d.bytes)
		}
	}
}

// cpuTimes are the CPU time that was used, and that the hypervisor gave to others, by
// the first line of /proc/stat; guests' time is in that of user already.
func cpuTimes(data []byte) (busy, steal int64) {
	line, _, _ := bytes.Cut(data, []byte("\n"))
	fields := bytes.Fields(line)
	if len(fields) < 9 || string(fields[0]) != "cpu" {
		return 0, 0
	}
	for i, f := range fields[1:9] {
		v, _ := number(f)
		v = min(v, 1<<62/tick) * tick
		switch i {
		case 3, 4: // idle, also while a disk is waited for
		case 7:
			steal = v
		default:
			busy = min(busy, 1<<62) + v
		}
	}
	return busy, steal
}

// disk is a line of /proc/diskstats.
type disk struct {
	number, name string
	// operations were done, in all taking time (ns, summed over them) and busy (ns).
	operations, time, busy, bytes int64
}

// maxDisks bounds the devices looked at.
const maxDisks = 16

// parseDisks reads /proc/diskstats: whole devices, not the parts and layers that the
// time would be counted for again.
func parseDisks(data []byte) (disks []disk) {
	const sector = 512
	for line := range bytes.Lines(data) {
		fields := strings.Fields(string(line))
		if len(fields) < 14 || len(disks) >= maxDisks || isPart(fields[2], disks) {
			continue
		}
		at := func(i int) int64 {
			if i >= len(fields) {
				return 0
			}
			v, _ := number([]byte(fields[i]))
			return min(v, 1<<40)
		}
		if name := fields[2]; strings.HasPrefix(name, "loop") || strings.HasPrefix(name, "ram") || strings.HasPrefix(name, "zram") {
			continue
		}
		disks = append(disks, disk{
			number: fields[0] + ":" + fields[1], name: fields[2],
			operations: at(3) + at(7) + at(18), time: milli(at(6)) + milli(at(10)) + milli(at(19)), busy: milli(at(12)), bytes: (at(5) + at(9)) * sector,
		})
	}
	return disks
}

// isPart reports whether a device is a partition of one before: sda1, nvme0n1p2.
func isPart(name string, before []disk) bool {
	for i := range before {
		if rest, is := strings.CutPrefix(name, before[i].name); is && rest != "" {
			return true
		}
	}
	return false
}

// deviceName is what a device is called whose number is known.
func (r *Reader) deviceName(number string) string {
	if name := r.devices[number]; name != "" {
		return name
	}
	return number
}
