package baseline

import (
	"math"
	"math/bits"
	"slices"

	"github.com/perfscope/perfscope/internal/unit"
	"github.com/perfscope/perfscope/pkg/inference/internal/criteria"
	"github.com/perfscope/perfscope/pkg/inference/internal/hop"
)

// Past is what the learned hops say. Its zero value has learned nothing.
type Past struct {
	hops []*Vector
	// time sums the time of each cell over the hops, square its squares, seen counts the
	// hops that have it, by ID.
	time, square []float64
	seen         []int32
	load         float64 // sum over the hops
	measures     []float64
	traced       float64 // hops in which calls were recorded
	changes      int     // hops put into the sums and taken out, for With
	// usual, reached, dispersed (by ID), lengths (of calls, by number) and together are set
	// once they are asked for.
	usual     []usual
	reached   []float64
	dispersed []dispersed
	lengths   map[int32]float64
	together  []float64
	scratch   scratch
}

// dispersed is the dispersion of a cell that was asked for: one past is compared with several
// hops, and it takes a look at all of the past.
type dispersed struct {
	known        bool
	grain, value float64
}

// NewPast sums up learned hops; they are not copied.
func NewPast(hops []*Vector) *Past {
	p := &Past{}
	for _, v := range hops {
		p.Add(v)
	}
	return p
}

// taken is how many hops the sums of a past may have had put in and taken out before
// they are made anew: rounding adds up.
const taken = 100

// With is the past of other hops: those that p has, too, are not summed up again. p is
// not changed.
func (p *Past) With(hops []*Vector) *Past {
	gone := make(map[*hop.Closed]*Vector, len(p.hops))
	for _, v := range p.hops {
		gone[v.Hop] = v
	}
	var added []*Vector
	for _, v := range hops {
		if had := gone[v.Hop]; had != nil && same(had.times, v.times) {
			delete(gone, v.Hop)
		} else {
			added = append(added, v)
		}
	}
	if changes := len(gone) + len(added); 2*changes > len(hops) || p.changes+changes > taken {
		return NewPast(hops)
	}
	next := &Past{
		hops: hops, time: slices.Clone(p.time), square: slices.Clone(p.square), seen: slices.Clone(p.seen),
		measures: slices.Clone(p.measures), traced: p.traced, changes: p.changes + len(gone) + len(added),
		scratch: p.scratch,
	}
	for _, v := range p.hops {
		if gone[v.Hop] != nil {
			next.count(v, -1)
		}
	}
	for _, v := range added {
		next.count(v, 1)
	}
	next.Reload()
	return next
}

// same reports whether two lists are one.
func same(a, b []float64) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}

// Len is the number of hops.
func (p *Past) Len() int { return len(p.hops) }

// Hops are the learned ones, the oldest first.
func (p *Past) Hops() []*Vector { return p.hops }

// Add learns a hop.
func (p *Past) Add(v *Vector) {
	p.hops = append(p.hops, v)
	p.count(v, 1)
}

// Forget takes the oldest hop out.
func (p *Past) Forget() {
	v := p.hops[0]
	p.hops = slices.Delete(p.hops, 0, 1)
	p.count(v, -1)
}

func (p *Past) count(v *Vector, sign float64) {
	p.usual, p.reached, p.dispersed, p.lengths, p.together = nil, nil, nil, nil, nil
	p.load += sign * max(v.Load, criteria.Little)
	for e := range v.Entries() {
		if int(e.ID) >= len(p.time) {
			more := make([]float64, int(e.ID)+1-len(p.time)+64)
			p.time, p.square = append(p.time, more...), append(p.square, more...)
			p.seen = append(p.seen, make([]int32, len(more))...)
		}
		p.time[e.ID] += sign * e.Time
		p.square[e.ID] += sign * e.Time * e.Time
		if p.seen[e.ID] += int32(sign); p.seen[e.ID] == 0 { // nothing that rounding leaves
			p.time[e.ID], p.square[e.ID] = 0, 0
		}
	}
	if !v.Hop.Traced() {
		return
	}
	p.traced += sign
	if p.measures == nil {
		p.measures = make([]float64, len(v.Hop.Measures))
	}
	for i, m := range v.Hop.Measures {
		p.measures[i] += sign * m
	}
}

// Reload takes the loads of the hops for what they are now.
func (p *Past) Reload() {
	p.load, p.usual, p.dispersed, p.together = 0, nil, nil, nil
	for _, v := range p.hops {
		p.load += max(v.Load, criteria.Little)
	}
}

// Mean is the mean time of a cell over the hops, whatever their load.
func (p *Past) Mean(id int32) float64 {
	if int(id) >= len(p.time) || len(p.hops) == 0 {
		return 0
	}
	return max(0, p.time[id]) / float64(len(p.hops))
}

// PerLoad is the time of a cell in a hop of load 1.
func (p *Past) PerLoad(id int32) float64 {
	if int(id) >= len(p.time) || p.load <= 0 {
		return 0
	}
	return max(0, p.time[id]) / p.load
}

// Reached is the time that a cell reached or exceeded in one hop of ten, and in two: one may
// hold a hiccup, or the beginning of something abnormal that was not yet seen as such.
func (p *Past) Reached(id int32) float64 {
	if int(id) >= len(p.time) || len(p.hops) < criteria.Repeated {
		return 0
	}
	if p.reached == nil {
		p.reached = p.reach()
	}
	return p.reached[id]
}

// reach is what each cell reached, by ID. They are read off block by block, in the order of the
// hops: cell by cell each would be looked for in each hop, and what all of them are compared with
// at once is more than a processor has at hand.
func (p *Past) reach() []float64 {
	rank := max(criteria.Repeated, int(math.Ceil(criteria.Little*float64(len(p.hops)))))
	reached := make([]float64, len(p.time))
	most := make([]float64, rank<<blockBits) // the largest times of each cell of a block, ascending
	for first := 0; first < len(reached); first += 1 << blockBits {
		for i := range most {
			most[i] = math.Inf(-1)
		}
		for _, v := range p.hops {
			v.largest(first>>blockBits, most, rank)
		}
		for id := first; id < min(first+1<<blockBits, len(reached)); id++ {
			if int(p.seen[id]) >= rank {
				reached[id] = most[(id-first)*rank]
			}
		}
	}
	return reached
}

// largest puts the times of the cells of a block among the largest so far, of which there are
// rank of each.
func (v *Vector) largest(block int, most []float64, rank int) {
	if block >= len(v.cells) {
		return
	}
	b := v.cells[block]
	times := v.times[b.before:]
	for left := b.has; left != 0; left &= left - 1 {
		at := rank * bits.TrailingZeros64(left)
		if times[0] > most[at] {
			insert(most[at:at+rank], times[0])
		}
		times = times[1:]
	}
}

// insert puts a value among ascending ones in place of the smallest.
func insert(ascending []float64, x float64) {
	i := 1
	for ; i < len(ascending) && ascending[i] < x; i++ {
		ascending[i-1] = ascending[i]
	}
	ascending[i-1] = x
}

// LeastExpected is the largest time that a load lets expect of a cell of a service
// that is as busy as ever with less to do: what it reached is not excused then.
func (p *Past) LeastExpected(id int32, load float64) float64 {
	return max(p.PerLoad(id)*load, p.Reached(id)*math.Sqrt(min(1, load)))
}

// Expected is the largest time that a load lets expect of a cell: what its past
// reached at any load, or its time per load times the present one.
func (p *Past) Expected(id int32, load float64) float64 {
	mean := p.PerLoad(id)
	if mean == 0 {
		return 0
	}
	return max(mean*load, p.Reached(id))
}

// AtMost is the largest time that a load lets expect of the service as a whole: less
// with less work, unlike that of a cell, which may be of any kind of request. Single
// hops may be far above the mean: by as much as the second worst learned hop was above
// its own, since a hiccup that happened once must not hide all that comes, and not by any amount.
func (p *Past) AtMost(id int32, load float64) float64 {
	mean := p.PerLoad(id)
	if mean == 0 {
		return 0
	}
	worst, second := 1.0, 1.0
	for _, v := range p.hops {
		r := v.Time(id) / (mean * max(cost(v.Load), criteria.Little))
		second = max(second, min(worst, r))
		worst = max(worst, r)
	}
	reached := p.Reached(id)
	if load < 1 {
		return reached * cost(max(0, load))
	}
	return max(mean*load*min(second, criteria.ManyTimes), reached)
}

// cost is how much time a load takes, relative to that of load 1: a server that is asked
// less loses batching, and pays more per request.
func cost(load float64) float64 { return max(load, math.Sqrt(min(1, load))) }

// Dispersion is by how much more than chance the time of a cell varies at the
// same load: the squared coefficient of variation beyond that of grain, what one
// count stands for (the method of moments for a negative binomial).
func (p *Past) Dispersion(id int32, grain float64) float64 {
	mean := p.PerLoad(id)
	if mean == 0 || len(p.hops) < 2 {
		return 0
	}
	if p.dispersed == nil {
		p.dispersed = make([]dispersed, len(p.time))
	}
	d := &p.dispersed[id]
	if !d.known || d.grain != grain {
		*d = dispersed{true, grain, p.dispersion(id, mean, grain)}
	}
	return d.value
}

func (p *Past) dispersion(id int32, mean, grain float64) float64 {
	sum, largest := 0.0, 0.0
	for _, v := range p.hops {
		expected := mean * max(v.Load, criteria.Little)
		d := v.Time(id) - expected
		// What is seen less than once a hop varies by chance alone.
		least := max(expected, grain)
		x := (d*d - expected*grain) / (least * least)
		sum += x
		largest = max(largest, x)
	}
	// One odd hop, a hiccup, is no habit.
	return max(0, (sum-largest)/float64(len(p.hops)-1))
}

// CallMean is the mean use of each call per second, over the hops in which calls
// were recorded.
func (p *Past) CallMean() map[unit.Key]hop.Totals {
	mean := map[unit.Key]hop.Totals{}
	for _, v := range p.hops {
		for k, t := range v.Hop.Calls {
			m := mean[k]
			mean[k] = hop.Totals{N: m.N + t.N/p.traced, Time: m.Time + t.Time/p.traced, Bytes: m.Bytes + t.Bytes/p.traced}
		}
	}
	return mean
}

// CallRate is how often a call with a number was made per second.
func (p *Past) CallRate(number int32) float64 {
	n := 0.0
	for _, v := range p.hops {
		n += v.Hop.Calls[unit.Key{Number: number}].N
	}
	return share(n, p.traced)
}

// UsualLength is the mean time in a call with a number, in nanoseconds; zero when
// it was never made.
func (p *Past) UsualLength(number int32) float64 {
	if length, known := p.lengths[number]; known {
		return length
	}
	n, t := 0.0, 0.0
	for _, v := range p.hops {
		k := v.Hop.Calls[unit.Key{Number: number}]
		n, t = n+k.N, t+k.Time
	}
	if p.lengths == nil {
		p.lengths = map[int32]float64{}
	}
	p.lengths[number] = share(t, n)
	return p.lengths[number]
}

func share(part, whole float64) float64 {
	if whole <= 0 {
		return 0
	}
	return part / whole
}

// chance is what sampling may have left out of a time: the upper limit of the mean of
// a Poisson count of grains.
func chance(time, grain float64) float64 {
	return criteria.StandardErrors*math.Sqrt((max(0, time)+grain)*grain) + grain
}

// Median is the lower median of values, zero of none; their order is kept.
func Median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	return middle(slices.Clone(values))
}
