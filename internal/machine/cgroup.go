package machine

import (
	"bytes"
	"path"
	"path/filepath"
	"strings"

	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// hierarchies are where control groups are mounted, by controller; the empty one is
// the unified hierarchy's.
type hierarchies map[string]string

// parseMounts reads /proc/PID/mountinfo.
func parseMounts(data []byte) hierarchies {
	h := hierarchies{}
	for line := range bytes.Lines(data) {
		before, after, found := strings.Cut(string(line), " - ")
		fields, rest := strings.Fields(before), strings.Fields(after)
		// The fifth field is where it is mounted, the fourth what of it.
		if !found || len(fields) < 5 || len(rest) < 3 || fields[3] != "/" {
			continue
		}
		at := fields[4]
		switch rest[0] {
		case "cgroup2":
			h.add("", at)
		case "cgroup":
			for option := range strings.SplitSeq(rest[2], ",") {
				h.add(option, at)
			}
		}
	}
	return h
}

// add keeps the first place of a hierarchy.
func (h hierarchies) add(controller, at string) {
	if _, known := h[controller]; !known {
		h[controller] = at
	}
}

// groupOf is where a process is in each hierarchy, by controller.
func parseGroups(data []byte) map[string]string {
	groups := map[string]string{}
	for line := range bytes.Lines(data) {
		parts := strings.SplitN(strings.TrimSpace(string(line)), ":", 3)
		if len(parts) != 3 || !strings.HasPrefix(parts[2], "/") {
			continue
		}
		for controller := range strings.SplitSeq(parts[1], ",") {
			groups[controller] = path.Clean(parts[2])
		}
	}
	return groups
}

// maxDepth bounds how far up the groups above a process's are looked at: a quota may be
// that of a pod or of a slice.
const maxDepth = 6

// each calls f with the directory and the path of the groups of a controller, the
// process's first, the root's left out; unified tells which version it is.
func (r *Reader) each(groups map[string]string, controller string, f func(dir, group string, unified bool)) {
	at, unified := r.mounts[controller], false
	group, ok := groups[controller]
	if at == "" || !ok {
		if at, group, unified = r.mounts[""], groups[""], true; at == "" {
			return
		}
	}
	for range maxDepth {
		if group == "/" || group == "" || group == "." {
			return
		}
		f(filepath.Join(at, group), group, unified)
		group = path.Dir(group)
	}
}

// groupReadings takes the figures of the control groups of a process.
func (r *Reader) groupReadings(groups map[string]string, put func(threadtrace.Measure, string, int64)) {
	r.each(groups, "cpu", func(dir, group string, unified bool) { r.quota(dir, group, unified, put) })
	own := true
	r.each(groups, "memory", func(dir, group string, unified bool) {
		r.memory(dir, group, unified, own, put)
		own = false
	})
	r.each(groups, "blkio", func(dir, group string, unified bool) { r.diskLimits(dir, group, unified, put) })
}

func (r *Reader) quota(dir, group string, _ bool, put func(threadtrace.Measure, string, int64)) {
	data, err := r.read(filepath.Join(dir, "cpu.stat"))
	if err != nil {
		return
	}
	var periods, throttled, lost int64
	keyed(data, func(name string, v int64) {
		switch name {
		case "nr_periods":
			periods = v
		case "nr_throttled":
			throttled = v
		case "throttled_time": // version 1, ns
			lost = v
		case "throttled_usec":
			lost = micro(v)
		}
	})
	if periods == 0 {
		return // it has no quota
	}
	put(threadtrace.MeasureQuotaPeriods, group, periods)
	put(threadtrace.MeasureQuotaThrottled, group, throttled)
	put(threadtrace.MeasureThrottledTime, group, lost)
}

func (r *Reader) memory(dir, group string, unified, own bool, put func(threadtrace.Measure, string, int64)) {
	hits := "memory.failcnt"
	if unified {
		hits = "memory.events"
	}
	data, err := r.read(filepath.Join(dir, hits))
	if err != nil {
		return
	}
	if unified {
		keyed(data, func(name string, v int64) {
			if name == "max" || name == "high" {
				put(threadtrace.MeasureLimitHits, group, v)
			}
		})
	} else if v, ok := number(bytes.TrimSpace(data)); ok {
		put(threadtrace.MeasureLimitHits, group, v)
	}
	if !own {
		return
	}
	if data, err := r.read(filepath.Join(dir, "memory.stat")); err == nil {
		keyed(data, func(name string, v int64) {
			switch name {
			case "workingset_refault_file", "workingset_refault_anon":
				put(threadtrace.MeasureRefaults, group, v)
			}
		})
	}
	if unified {
		if data, err := r.read(filepath.Join(dir, "memory.pressure")); err == nil {
			if v, ok := pressure(data); ok {
				put(threadtrace.MeasureMemoryPressure, group, v)
			}
		}
	}
}

// limitFiles are the limits of devices in version 1.
var limitFiles = []string{
	"blkio.throttle.read_bps_device", "blkio.throttle.write_bps_device", "blkio.throttle.read_iops_device", "blkio.throttle.write_iops_device",
}

// diskLimits takes what a control group may use of devices: lines of "8:0 1048576", in
// version 2 of "8:0 rbps=1048576 wbps=max riops=max wiops=max".
func (r *Reader) diskLimits(dir, group string, unified bool, put func(threadtrace.Measure, string, int64)) {
	files := limitFiles
	if unified {
		files = []string{"io.max"}
	}
	for _, file := range files {
		data, err := r.read(filepath.Join(dir, file))
		if err != nil {
			return
		}
		for line := range bytes.Lines(data) {
			fields := strings.Fields(string(line))
			if len(fields) < 2 {
				continue
			}
			for _, f := range fields[1:] {
				if _, value, found := strings.Cut(f, "="); found {
					f = value
				}
				if v, ok := number([]byte(f)); ok && f != "max" {
					put(threadtrace.MeasureDiskLimit, r.deviceName(fields[0])+" in "+group, v)
				}
			}
		}
	}
}
