// Package habit tells when a service leaves its habits, from what can be seen
// of its threads without tracing any system call: the CPU time of each role, and
// the calls that threads are found waiting in. It decides nothing but whether a
// closer look is worth its cost, so it is quick and easily suspicious.
package habit

import (
	"slices"
	"time"
)

const (
	// Round is the time over which looks are summed up: ten looks at the
	// default interval of 200 ms.
	Round = 2 * time.Second
	// kept is how many rounds make up the habit: two minutes.
	kept = 60
	// least is the number of rounds without which there is no habit.
	least = 10
	// maxFeatures bounds what is kept of one service; features beyond are
	// not looked at.
	maxFeatures = 128
	// floor is the change, in threads or CPUs, below which nobody would want
	// a closer look, and spread how many median absolute deviations are no news.
	floor, spread = 0.15, 6.0
	// relative is the part of the usual value that a change must exceed: load
	// moves every figure by some.
	relative = 0.5
)

// Feature is one figure of a service.
type Feature struct {
	// Role is the name that the threads share, as "worker".
	Role string
	// Waiting tells the time in the call Number from the time on a CPU.
	Waiting bool
	Number  int32
}

// Service is the habit of one service. It is not safe for concurrent use.
type Service struct {
	values map[Feature][]float64 // one a round, the newest last
	rounds int
	began  int64
	sums   map[Feature]float64
}

// Change is a figure that left its habit; values in CPUs or threads.
type Change struct {
	Feature
	Usual, Now float64
}

// NewService begins without a habit.
func NewService() *Service {
	return &Service{values: map[Feature][]float64{}, sums: map[Feature]float64{}}
}

// Add takes time, in CPU or waiting seconds, that was seen of a feature.
func (s *Service) Add(f Feature, seconds float64) {
	if _, known := s.sums[f]; known || len(s.sums) < maxFeatures {
		s.sums[f] += seconds
	}
}

// Close ends a round when one is over, now being nanoseconds since any epoch,
// and reports the figure that changed the most, if one did. A round that is out of
// habit does not become one until that has lasted.
func (s *Service) Close(now int64) (Change, bool) {
	if s.began == 0 {
		s.began = now
		clear(s.sums)
		return Change{}, false
	}
	length := time.Duration(now - s.began)
	if length < Round {
		return Change{}, false
	}
	var most Change
	far := 0.0
	for f := range s.sums {
		if s.values[f] == nil && len(s.values) < maxFeatures {
			s.values[f] = make([]float64, min(s.rounds, kept)) // it was zero so far
		}
	}
	for f, values := range s.values {
		x := s.sums[f] / length.Seconds()
		if s.rounds >= least {
			usual, limit := habit(values)
			if d := distance(x, usual); d > limit && d/limit > far {
				far, most = d/limit, Change{f, usual, x}
			}
		}
		if len(values) == kept {
			copy(values, values[1:])
			values = values[:kept-1]
		}
		if s.values[f] = append(values, x); slices.Max(s.values[f]) == 0 {
			delete(s.values, f)
		}
	}
	s.rounds++
	s.began = now
	clear(s.sums)
	return most, far > 0
}

func distance(a, b float64) float64 { return max(a-b, b-a) }

// habit is the median, and how far from it is out of habit.
func habit(values []float64) (usual, limit float64) {
	sorted := slices.Sorted(slices.Values(values))
	usual = sorted[len(sorted)/2]
	for i, v := range sorted {
		sorted[i] = distance(v, usual)
	}
	slices.Sort(sorted)
	return usual, max(floor, relative*usual, spread*sorted[len(sorted)/2])
}
