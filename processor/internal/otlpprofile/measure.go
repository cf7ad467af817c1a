package otlpprofile

import (
	"math"
	"time"

	"go.opentelemetry.io/collector/pdata/pprofile"
)

// measure is what the values of a profile say.
type measure struct {
	blocked bool
	// unit is how many nanoseconds a value of one is; zero when a sample has one
	// sighting per timestamp, or per count without one, of period each.
	unit   int64
	period int64
}

var units = map[string]int64{
	"nanoseconds": 1, "ns": 1, "microseconds": 1e3, "us": 1e3, "milliseconds": 1e6, "ms": 1e6, "seconds": 1e9, "s": 1e9,
}

// measureOf reads the type of a profile: samples/count with a period of cpu, or cpu in
// a unit of time, are on the CPU, off_cpu is off it. The names are those of pprof and
// of the OpenTelemetry eBPF profiler; there is no convention yet.
func (d *Decoder) measureOf(p pprofile.Profile) (m measure, ok bool) {
	of, unit := d.text(p.SampleType().TypeStrindex()), units[d.text(p.SampleType().UnitStrindex())]
	switch of {
	case "samples", "sample":
		kind, period := d.text(p.PeriodType().TypeStrindex()), units[d.text(p.PeriodType().UnitStrindex())]
		if kind != "cpu" && kind != "on_cpu" || period == 0 || p.Period() <= 0 || p.Period() > int64(mostOnCPU)/period {
			return m, false
		}
		m.period = period * p.Period()
		return m, true
	case "cpu", "on_cpu":
		m.unit = unit
	case "off_cpu", "off-cpu", "offcpu":
		m.unit, m.blocked = unit, true
	}
	return m, m.unit > 0
}

// sightings are when a sample was seen and the time that each of them stands for, or
// the reason why there are none.
func (m *measure) sightings(s pprofile.Sample, start int64, length time.Duration) (times, each []int64, reason string) {
	raw, values := s.TimestampsUnixNano(), s.Values()
	if raw.Len() > maxSightings || values.Len() > maxSightings {
		return nil, nil, ReasonTooMany
	}
	for _, at := range raw.All() {
		if at > math.MaxInt64 {
			return nil, nil, ReasonTime
		}
		times = append(times, int64(at))
	}
	most := int64(mostOnCPU)
	if m.blocked {
		most = int64(mostBlocked)
	}
	total := int64(0)
	for _, v := range values.All() {
		ns, ok := m.time(v, most)
		if !ok {
			return nil, nil, ReasonValue
		}
		each = append(each, ns)
		total += ns
	}
	switch {
	case len(times) == 0:
		return m.pieces(total, start, length, most)
	case m.unit == 0:
		return times, repeat(m.period, len(times)), ""
	case len(each) == len(times):
		return times, each, ""
	case total/int64(len(times)) <= 0:
		return nil, nil, ReasonValue
	}
	return times, repeat(total/int64(len(times)), len(times)), ""
}

// time is what a value stands for, in nanoseconds.
func (m *measure) time(v, most int64) (int64, bool) {
	unit := m.unit
	if unit == 0 {
		// A count: what it comes to is bounded below, as that of all pieces.
		if unit = m.period; v > 0 && v > int64(time.Hour)/unit {
			return 0, false
		}
		return v * unit, v > 0
	}
	return v * unit, v > 0 && v <= most/unit
}

// pieces spread the time of a sample without timestamps over its profile.
func (m *measure) pieces(total, start int64, length time.Duration, most int64) (times, each []int64, reason string) {
	n := max(1, min(mostPieces, int64(length/piece)))
	if start <= 0 || start > math.MaxInt64-int64(length) {
		return nil, nil, ReasonTime
	}
	if total/n <= 0 || total/n > most {
		return nil, nil, ReasonValue
	}
	for i := range n {
		times = append(times, start+int64(length)/n*(i+1))
	}
	return times, repeat(total/n, len(times)), ""
}

func repeat(v int64, n int) []int64 {
	out := make([]int64, n)
	for i := range out {
		out[i] = v
	}
	return out
}
