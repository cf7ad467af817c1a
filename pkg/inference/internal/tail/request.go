package tail

import (
	"cmp"
	"math"
	"slices"

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
	// Size is how much was asked for, in bytes or rows; zero when that is not known.
	Size float64
	// Calls is the appearance vector of a unit of which all is known: the system calls
	// made in it, as appearances have them.
	Calls string
	Seen  []unit.StackTime
	// Thread worked for this request alone from Start to End; zero when that is not known.
	Thread int32
	// Unit is set when it is an execution unit, and no span, in which Seen was seen.
	Unit bool
	// Goroutine is set when it is what a goroutine did, and no span. Seen is then where that
	// waited.
	Goroutine bool
	// Part is set when it is only known to have lasted at least from Start to End: it
	// tells something if that is too long already. Begun is set when its begin is known,
	// Alone when all that was met of it is surely one request's.
	Part, Begun, Alone bool

	// first is set when it found nobody, served is since when it was no more in line, zero when
	// it never was; waited is for how long a unit waited for locks, in nanoseconds.
	first          bool
	served, waited int64
	// set is the units of its role that make the same calls, nil where that is not known.
	set *set
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

// timed is how long a request took, and for how many it stands.
type timed struct{ time, weight float64 }

// workspace is what a split is found in, one after the other.
type workspace struct {
	took []timed
	// bins has the weight of requests that take about as long, in their order, lowest and highest
	// the first and last of them that have any. some are those that are looked at one by one.
	bins            [bins]float64
	lowest, highest int
	some            []timed
}

const (
	// binBits tells bins of a doubling apart: there are 32 to each. bins is how many there are, from
	// firstBin on: the last one has all that takes longer than an hour, the first all below a
	// microsecond.
	binBits  = 5
	bins     = 32 << binBits
	firstBin = (1023 + 10) << binBits
)

// binOf is the bin of a duration: the first bits of a floating point number are its doubling, and
// the part of that.
func binOf(duration float64) int {
	const mantissa = 52
	return min(bins-1, max(0, int(math.Float64bits(duration)>>(mantissa-binBits))-firstBin)) //nolint:gosec // 17 bits
}

// weigh puts all requests into bins, and returns their weight and time, and the longest of them.
func (w *workspace) weigh() (weight, time, longest float64) {
	clear(w.bins[:])
	w.lowest, w.highest = bins-1, 0
	for _, t := range w.took {
		at := binOf(t.time)
		w.bins[at] += t.weight
		w.lowest, w.highest = min(w.lowest, at), max(w.highest, at)
		weight, time, longest = weight+t.weight, time+t.weight*t.time, max(longest, t.time)
	}
	return weight, time, longest
}

// quantile is that of all requests. The bins tell in which of them it is, so that only a few are
// looked at.
func (w *workspace) quantile(weight float64) float64 {
	in := w.lowest
	for ; in < w.highest && weight >= w.bins[in]; in++ {
		weight -= w.bins[in]
	}
	w.some = w.some[:0]
	for _, t := range w.took {
		if binOf(t.time) == in {
			w.some = append(w.some, t)
		}
	}
	return quantile(w.some, weight)
}

// sums are those over some requests: of their weights, of the square roots of their durations,
// and of these.
type sums struct{ weight, root, time float64 }

func (s *sums) add(t timed) {
	s.weight, s.root, s.time = s.weight+t.weight, s.root+t.weight*math.Sqrt(t.time), s.time+t.weight*t.time
}

// borders is where a border may be among requests that take as long as all of them, of which
// long ones take longer times usual.
type borders struct {
	all           sums
	usual, longer float64
}

// contrast is that of a border with some requests below and as many as are given above; zero
// where slow ones do not matter.
func (b *borders) contrast(fast sums, above int) float64 {
	slow, long := b.all.weight-fast.weight, b.all.time-fast.time
	if above < fewSlow || long < b.longer*b.usual*slow || long-b.usual*slow < mattering*b.all.time {
		return 0
	}
	between := (b.all.root-fast.root)/slow - fast.root/fast.weight
	return fast.weight * slow * between * between
}

// findSplit splits durations where both sides are most alike within (Otsu, IEEE Trans.
// Systems, Man and Cybernetics 1979), in the upper part of the distribution; false when
// there is no tail. Of several tails that with much time is meant: it is the square
// roots that are split. was is the border so far, zero without one. The median is always
// set. Only those that may be slow are put in order.
func (w *workspace) findSplit(was float64) (split, bool) {
	weight, time, longest := w.weigh()
	median := w.quantile(0.5 * weight)
	none := split{median: median}
	// All slow ones together take longer times the median, so that the longest does.
	if len(w.took) < fewRequests || weight < fewWhole || longest < longer*median {
		return none, false
	}
	// Where two fifths take several times as long as the half, slow is what is far beyond
	// that, too.
	b := borders{usual: median, longer: longer}
	if most := w.quantile(body * weight); most >= shortestSlow*median || median >= shortestSlow*w.quantile(middle*weight) {
		b.usual, b.longer = most, far
	}
	if !w.maySplit(&b, time) {
		return none, false
	}
	best, at := w.best(&b)
	if at == 0 {
		return none, false
	}
	if was > 0 && b.stays(w.took, was, best) {
		at = was
	}
	return split{threshold: at, median: median}, true
}

// maySplit has some be those that may be slow, and reports whether all of them together may matter:
// where not, no border among them has a contrast.
func (w *workspace) maySplit(b *borders, time float64) bool {
	w.some = w.some[:0]
	beyond := 0.0
	for _, t := range w.took {
		if t.time >= shortestSlow*b.usual {
			w.some = append(w.some, t)
			beyond += t.weight * (t.time - b.usual)
		}
	}
	return len(w.some) >= fewSlow && beyond >= mattering*time
}

// best is the contrast of the best border, and where that is, zero where none has one.
func (w *workspace) best(b *borders) (best, at float64) {
	slices.SortFunc(w.some, func(x, y timed) int { return cmp.Compare(x.time, y.time) })
	var below sums
	before := 0.0 // the longest of those below
	for _, t := range w.took {
		if t.time < shortestSlow*b.usual {
			below.add(t)
			before = max(before, t.time)
		}
	}
	b.all = below
	for _, t := range w.some {
		b.all.add(t)
	}
	for i, t := range w.some {
		if t.time > before {
			if q := b.contrast(below, len(w.some)-i); q > best {
				best, at = q, math.Sqrt(before*t.time)
			}
		}
		below.add(t)
		before = t.time
	}
	return best, at
}

// stays reports whether the border so far is nearly as good as the best one.
func (b *borders) stays(d []timed, was, best float64) bool {
	var below sums
	above, next := 0, timed{time: math.Inf(1)}
	for _, t := range d {
		if t.time < was {
			below.add(t)
			continue
		}
		if above++; t.time < next.time {
			next = t
		}
	}
	return below.weight+next.weight > body*b.all.weight && b.contrast(below, above) >= stays*best
}

// quantile is what requests take of which there is no more than a weight with shorter ones. It puts
// them in another order (quickselect, Hoare 1961).
func quantile(d []timed, weight float64) float64 {
	lo, hi := 0, len(d)
	for {
		pivot := d[lo+(hi-lo)/2].time
		shorter, longer, i := lo, hi, lo
		less, same := 0.0, 0.0
		for i < longer {
			switch t := d[i]; {
			case t.time < pivot:
				less += t.weight
				d[i], d[shorter] = d[shorter], t
				i, shorter = i+1, shorter+1
			case t.time > pivot:
				longer--
				d[i], d[longer] = d[longer], t
			default:
				same += t.weight
				i++
			}
		}
		switch {
		case weight < less && shorter > lo:
			hi = shorter
		case weight < less+same || longer == hi:
			return pivot
		default:
			weight -= less + same
			lo = longer
		}
	}
}

// took is what a request of some size took, and for how many it stands: one that is met
// wherever it begins is seen more often than those that are only known while calls are
// recorded.
type took struct {
	time, weight float64
	// own is the part of the time in which it was not in line, first set when it found nobody.
	own   float64
	first bool
	// begun is set when its begin was seen.
	begun bool
	class uint8
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

func classOf(size float64) uint8 {
	if size <= 0 {
		return 0
	}
	return uint8(min(sizeClasses-1, 1+int(math.Log2(1+size)))) //nolint:gosec // at most sizeClasses
}

// sizesOf reads it off recent requests, of those that tell it.
func (k *kind) sizesOf(served bool) (s sizes) {
	for c := range s {
		s[c] = 1
	}
	if !k.sized {
		return s
	}
	var of [sizeClasses]int
	for i := range k.recent {
		if t := &k.recent[i]; k.tells(t, served) {
			of[t.class]++
		}
	}
	median := 0.0
	for c := range of {
		if c == 0 || of[c] < sameSize {
			continue
		}
		if median == 0 {
			median = k.medianOf(served, func(*took) bool { return true })
		}
		s[c] = max(1, k.medianOf(served, func(t *took) bool { return int(t.class) == c })/median)
	}
	return s
}

// medianOf is the upper median of what some of the requests take.
func (k *kind) medianOf(served bool, some func(*took) bool) float64 {
	var times []float64
	for i := range k.recent {
		if t := &k.recent[i]; k.tells(t, served) && some(t) {
			times = append(times, t.by(served))
		}
	}
	slices.Sort(times)
	return times[len(times)/2]
}
