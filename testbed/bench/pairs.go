package bench

import (
	"math"
	"slices"
)

// Loss is a share of the throughput, in percent: the median of what was
// compared, and the ends of its 95 % interval.
type Loss struct {
	Mid  float64 `json:"percent"`
	Low  float64 `json:"percent_low"`
	High float64 `json:"percent_high"`
}

// newLoss holds for any distribution of independent values: the ends are the
// order statistics between which the median lies with that chance. Of fewer than
// six values they are the least and the most.
func newLoss(values []float64) Loss {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	if n == 0 {
		return Loss{}
	}
	k := int((float64(n) - 1.96*math.Sqrt(float64(n))) / 2)
	k = min(max(k, 0), (n-1)/2)
	return Loss{median(sorted), sorted[k], sorted[n-1-k]}
}

// lost compares each second of a mode with the bare seconds around it.
func lost(before, watched, after phase) (percent []float64) {
	bare := median(slices.Concat(before.windows, after.windows))
	for _, rps := range watched.windows {
		percent = append(percent, 100*(bare-rps)/bare)
	}
	return percent
}

// meanLoss is that of several servers, each as important as the others.
func meanLoss(of []Loss) (mean, plusMinus float64) {
	for _, l := range of {
		mean += l.Mid / float64(len(of))
		half := (l.High - l.Low) / 2 / float64(len(of))
		plusMinus += half * half
	}
	return mean, math.Sqrt(plusMinus)
}
