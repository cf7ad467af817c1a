package pattern

import (
	"cmp"
	"math"
	"slices"

	"github.com/perfscope/perfscope/internal/unit"
	"github.com/perfscope/perfscope/pkg/inference/internal/criteria"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// maxDeviations bounds the calls listed with an anomaly.
const maxDeviations = 8

// Deviations lists the calls whose rate or waiting left the past, the one
// that moves most first. pastMean is the mean time in a call then, in
// nanoseconds; waiting the excess waiting by call number.
func Deviations(arch string, rates []CallRate, pastMean map[unit.Key]float64, waiting map[int32]float64) []Deviation {
	type weighted struct {
		Deviation
		weight float64
	}
	all := map[int32]struct{ now, past float64 }{}
	for _, r := range rates {
		t := all[r.Number]
		t.now += r.Now
		t.past += r.Past
		all[r.Number] = t
	}
	var list []weighted
	for _, r := range rates {
		more := r.Now > criteria.ManyTimes*r.Past && r.Now-r.Past > 1
		less := r.Past > criteria.ManyTimes*r.Now && r.Past-r.Now > 1
		slower := r.Errno == 0 && waiting[r.Number] > 0
		if !more && !less && !slower {
			continue
		}
		past := pastMean[unit.Key{Number: r.Number, Errno: r.Errno}]
		d := Deviation{
			Call: threadtrace.Name(arch, r.Number), Error: threadtrace.ErrnoName(r.Errno),
			Normal:   Figures{RatePerSecond: r.Past, MeanSeconds: past / 1e9},
			Abnormal: Figures{RatePerSecond: r.Now, MeanSeconds: r.Mean / 1e9},
		}
		if r.Errno != 0 {
			d.Normal.ErrorShare = ratio(r.Past, all[r.Number].past)
			d.Abnormal.ErrorShare = ratio(r.Now, all[r.Number].now)
		}
		weight := math.Abs(r.Now-r.Past) + waiting[r.Number]/1e6
		if r.Errno != 0 {
			// Failing calls tell most (docs/inference.md).
			weight *= criteria.ManyTimes
		}
		list = append(list, weighted{d, weight})
	}
	slices.SortFunc(list, func(a, b weighted) int {
		return cmp.Or(cmp.Compare(b.weight, a.weight), cmp.Compare(a.Call, b.Call), cmp.Compare(a.Error, b.Error))
	})
	deviations := make([]Deviation, 0, min(len(list), maxDeviations))
	for i := range list[:cap(deviations)] {
		deviations = append(deviations, list[i].Deviation)
	}
	return deviations
}

// Deviation is a system call (with one errno, or its successes) whose use
// left its past.
type Deviation struct {
	// Call is the system call's name, Error the errno's name or empty.
	Call, Error      string
	Normal, Abnormal Figures
}

// Figures describe the use of one system call.
type Figures struct {
	// RatePerSecond is calls per traced second.
	RatePerSecond float64
	// MeanSeconds is the mean time in the call.
	MeanSeconds float64
	// ErrorShare is the share of the calls that ended with this Error.
	ErrorShare float64
}

func ratio(a, b float64) float64 {
	if b <= 0 {
		return 0
	}
	return a / b
}
