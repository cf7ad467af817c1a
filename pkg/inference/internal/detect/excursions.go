package detect

import (
	"math"

	"github.com/perfscope/perfscope/pkg/inference/internal/criteria"
)

// Healthy services leave their past, too: a checkpoint, code that is loaded, a command
// that an operator runs. That is real, and soon over. What tells it from a fault is how
// much time it costs, so the promise of false alarms is kept by the tail of these
// costs, by peaks over a threshold with a generalized Pareto excess (Davison and Smith,
// Journal of the Royal Statistical Society B 1990): at first that of all services, then
// blended with the service's own.
const (
	// peak is the cost in seconds from which an excursion counts.
	peak = 0.15
	// peaksPerDay is how many a service of the population has a day, meanExcess by how
	// many seconds they cost more than peak, and shape that of the tail: negative, since
	// what is over within a hop or two cannot cost any amount.
	peaksPerDay, meanExcess, shape = 5.2, 0.106, -0.5
)

// Excursions are the times in which a service left its past and came back. The zero
// value is a service of which nothing is known.
type Excursions struct {
	// days is how long the service was judged, peaks how many excursions cost more
	// than peak, and beyond by how many seconds in all.
	days, peaks, beyond float64
}

// Watch adds seconds in which the service was judged.
func (x *Excursions) Watch(seconds float64) { x.days += seconds / 86400 }

// Add takes an excursion that is over and cost so many seconds; more than atMost of
// them are left out, so that one fault cannot hide those that come after it.
func (x *Excursions) Add(cost, atMost float64) {
	if cost > peak {
		x.peaks++
		x.beyond += min(cost, atMost) - peak
	}
}

// Rare is what an excursion must cost, in seconds, so that only so many a day reach it
// while the service is healthy. Rate and mean excess are those of Gamma distributions
// whose prior, the population's tail, says as much as a few excursions of its own.
func (x *Excursions) Rare(perDay float64) float64 {
	const prior = criteria.FewSightings
	peaks := prior + x.peaks
	rate := peaks / (prior/peaksPerDay + x.days)
	mean := (prior*meanExcess + x.beyond) / peaks
	scale := mean * (1 - shape)
	return peak + scale/shape*(math.Pow(max(1, rate/perDay), shape)-1)
}

// ExcursionFigures are for how many days a service was judged, how many excursions
// cost more than the peak, and by how many seconds in all.
type ExcursionFigures struct{ Days, Peaks, Beyond float64 }

// Figures are what is known, in a form that can be kept.
func (x Excursions) Figures() ExcursionFigures { return ExcursionFigures{x.days, x.peaks, x.beyond} }

// ExcursionsOf is the reverse of Figures.
func ExcursionsOf(f ExcursionFigures) Excursions {
	return Excursions{days: f.Days, peaks: f.Peaks, beyond: f.Beyond}
}
