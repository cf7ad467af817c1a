package tail

import (
	"math"
	"slices"
	"sort"

	"github.com/perfscope/perfscope/internal/unit"
)

// Request is one piece of work that a service did for somebody.
type Request struct {
	// Kind is what it is compared within: requests of one kind should take as long.
	Kind string
	// ID is that of its span, zero without one.
	ID [8]byte
	// Start and End are in nanoseconds since the Unix epoch.
	Start, End int64
	// Thread worked for this request alone from Start to End; zero when that is not known.
	Thread int32
	// Size is how much was asked for, in bytes or rows; zero when that is not known.
	Size float64
	// Unit is set when it is an execution unit, and no span, in which Seen was seen.
	Unit bool
	Seen []unit.StackTime
	// Goroutine is set when it is what a goroutine did, and no span. Seen is then where that
	// waited.
	Goroutine bool
	// Part is set when it is only known to have lasted at least from Start to End: it
	// tells something if that is too long already. Begun is set when its begin is known,
	// Alone when all that was met of it is surely one request's.
	Part, Begun, Alone bool
	// Calls is the appearance vector of a unit of which all is known: the system calls
	// made in it, as appearances have them.
	Calls string

	// served is since when it was no more in line, zero when it never was; waited is for how
	// long a unit waited for locks, in nanoseconds; first is set when it found nobody.
	served, waited int64
	first          bool
}

func (r *Request) duration() float64 { return r.took(false) }

// Sighting is a thread seen on a CPU or waiting at an instant.
type Sighting struct {
	// Time is the instant, in nanoseconds since the Unix epoch, Duration the time
	// that the sighting stands for.
	Time, Duration int64
	Thread         int32
	Stack          uint32
	// Number is the call that it waits in.
	Number  int32
	Waiting bool
}

const (
	// fewRequests is how many of a kind there must be for it to have a tail, fewWhole for how
	// many of those that are only known while calls are recorded they must stand, fewSlow how
	// many of them must be slow.
	fewRequests, fewWhole, fewSlow = 60, 20, 5
	// body is the share of a kind that is not slow: what hits more than two fifths of
	// the requests is no tail.
	body = 0.6
	// middle is where it is told whether the border of two halves is at the median.
	middle = 0.45
	// shortestSlow and longer are how many times the median the shortest slow request,
	// and the mean of all slow ones, must take: what a doubled load does to all is no
	// tail.
	shortestSlow, longer = 2.0, 3.0
	// far is how many times as long as three fifths of all slow ones must take, where
	// those are not alike.
	far = 10.0
	// mattering is the share of all time of a kind that its slow requests must take
	// beyond the median for it to matter.
	mattering = 0.05
	// maxRecent bounds the durations by which a kind is split.
	maxRecent = 1024
	// sizeClasses are powers of two of a request's size.
	sizeClasses = 40
	// sameSize is how many requests of a size there must be to know what it costs.
	sameSize = 16
)

// split tells slow requests of a kind from fast ones, in nanoseconds.
type split struct {
	threshold, median float64
	// served is set when that is by how long they were served.
	served bool
}

// stays is the part of the best contrast from which the border stays where it was: what
// was pooled on both sides of another one is lost.
const stays = 0.7

// workspace is what a split is found in, one after the other.
type workspace struct {
	took                  []took
	weights, roots, times []float64
}

// sumsOf are the sums of what is before the i-th of some requests: of their weights, of the
// square roots of their durations, and of these.
func (w *workspace) sumsOf(d []took) (weights, roots, times []float64) {
	weight, root, time := 0.0, 0.0, 0.0
	w.weights, w.roots, w.times = append(w.weights[:0], 0), append(w.roots[:0], 0), append(w.times[:0], 0)
	for _, x := range d {
		weight, root, time = weight+x.weight, root+x.weight*math.Sqrt(x.time), time+x.weight*x.time
		w.weights, w.roots, w.times = append(w.weights, weight), append(w.roots, root), append(w.times, time)
	}
	return w.weights, w.roots, w.times
}

// findSplit splits durations where both sides are most alike within (Otsu, IEEE Trans.
// Systems, Man and Cybernetics 1979), in the upper part of the distribution; false when
// there is no tail. Of several tails that with much time is meant: it is the square
// roots that are split. was is the border so far, zero without one. It sorts d.
func (w *workspace) findSplit(d []took, was float64) (split, bool) {
	slices.SortFunc(d, func(a, b took) int {
		switch { // no duration is NaN, which cmp.Compare looks for
		case a.time < b.time:
			return -1
		case a.time > b.time:
			return 1
		}
		return 0
	})
	n := len(d)
	weights, roots, times := w.sumsOf(d)
	all := weights[n]
	if n < fewRequests || all < fewWhole {
		return split{}, false
	}
	upper := min(n-1, sort.Search(n, func(i int) bool { return weights[i+1] > body*all }))
	median := quantile(d, 0.5)
	// Where two fifths take several times as long as the half, slow is what is far beyond
	// that, too.
	usual, longer := median, longer
	if most := d[upper].time; most >= shortestSlow*median || median >= shortestSlow*quantile(d, middle) {
		usual, longer = most, far
	}
	if d[n-1].time < shortestSlow*usual {
		return split{}, false
	}
	// contrast is that of a border before the i-th, zero where slow ones do not matter.
	contrast := func(i int) float64 {
		fast, slow, long := weights[i], all-weights[i], times[n]-times[i]
		if n-i < fewSlow || long < longer*usual*slow || long-usual*slow < mattering*times[n] {
			return 0
		}
		between := (roots[n]-roots[i])/slow - roots[i]/fast
		return fast * slow * between * between
	}
	best, at := 0.0, -1
	for i := upper; i <= n-fewSlow; i++ {
		if d[i].time < shortestSlow*usual || d[i].time == d[i-1].time {
			continue
		}
		if q := contrast(i); q > best {
			best, at = q, i
		}
	}
	if at < 0 {
		return split{}, false
	}
	i := sort.Search(n, func(i int) bool { return d[i].time >= was })
	if was > 0 && i >= upper && contrast(i) >= stays*best {
		return split{threshold: was, median: median}, true
	}
	return split{threshold: math.Sqrt(d[at-1].time * d[at].time), median: median}, true
}

// quantile is what a share of requests, in their order, take at most.
func quantile(d []took, q float64) float64 {
	left := 0.0
	for _, t := range d {
		left += q * t.weight
	}
	for _, t := range d {
		if left -= t.weight; left < 0 {
			return t.time
		}
	}
	return d[len(d)-1].time
}

// took is what a request of some size took, and for how many it stands: one that is met
// wherever it begins is seen more often than those that are only known while calls are
// recorded.
type took struct {
	time, weight float64
	// own is the part of the time in which it was not in line, first set when it found nobody.
	own   float64
	first bool
	class int
	// begun is set when its begin was seen.
	begun bool
}

// by is what it took, or for how long it was served.
func (t *took) by(served bool) float64 {
	if served {
		return t.own
	}
	return t.time
}

// sizes knows what requests of a size take, relative to the median of the kind: twice
// the work is not slow.
type sizes [sizeClasses]float64

func classOf(size float64) int {
	if size <= 0 {
		return 0
	}
	return min(sizeClasses-1, 1+int(math.Log2(1+size)))
}

// sizesOf reads it off recent requests.
func sizesOf(recent []took) (s sizes) {
	var of [sizeClasses]int
	for _, r := range recent {
		of[r.class]++
	}
	median := 0.0
	for c := range of {
		s[c] = 1
		if c == 0 || of[c] < sameSize {
			continue
		}
		if median == 0 {
			median = medianOf(recent, func(took) bool { return true })
		}
		s[c] = max(1, medianOf(recent, func(r took) bool { return r.class == c })/median)
	}
	return s
}

// medianOf is the upper median of what some of the requests take.
func medianOf(recent []took, some func(took) bool) float64 {
	var times []float64
	for _, r := range recent {
		if some(r) {
			times = append(times, r.time)
		}
	}
	slices.Sort(times)
	return times[len(times)/2]
}
