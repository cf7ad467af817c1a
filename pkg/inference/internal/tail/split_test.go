package tail

import (
	"math"
	"math/rand/v2"
	"slices"
	"sort"
	"testing"
)

func TestSplit(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	lognormal := func(median, sigma float64) float64 { return median * math.Exp(sigma*rng.NormFloat64()) }
	for _, tc := range []struct {
		name  string
		n     int
		slow  float64 // share
		times float64 // as long
		sigma float64
		want  bool
	}{
		{"one in a hundred is twenty times as slow", 1000, 0.01, 20, 0.3, true},
		{"three in a hundred are ten times as slow", 1000, 0.03, 10, 0.3, true},
		{"one in ten is five times as slow", 1000, 0.1, 5, 0.3, true},
		{"one in three is ten times as slow, others wait for one in ten", 1000, 0.33, 10, 0.3, true},
		{"nothing is slow", 1000, 0, 1, 0.3, false},
		{"all are slow", 1000, 1, 10, 0.3, false},
		{"half of them are slow", 1000, 0.5, 10, 0.3, false},
		{"somewhat more than half of them are slow", 1000, 0.56, 10, 0.3, false},
		{"they are too few", 40, 0.1, 10, 0.3, false},
		{"slow ones are hardly slower", 1000, 0.05, 1.5, 0.3, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := make([]float64, tc.n)
			slow := 0
			for i := range d {
				d[i] = lognormal(4e6, tc.sigma)
				if float64(i) < tc.slow*float64(tc.n) {
					d[i] = lognormal(4e6*tc.times, tc.sigma)
					slow++
				}
			}
			s, ok := findSplit(alike(d), 0)
			if ok != tc.want {
				t.Fatalf("a tail: %v, want %v (%+v)", ok, tc.want, s)
			}
			if !ok {
				return
			}
			above := 0
			for _, x := range d {
				if x >= s.threshold {
					above++
				}
			}
			if off := math.Abs(float64(above - slow)); off > 0.2*float64(slow)+1 {
				t.Errorf("%d are slow by the border of %.1f ms, %d are", above, s.threshold/1e6, slow)
			}
		})
	}
}

func findSplit(d []timed, was float64) (split, bool) {
	w := workspace{took: d}
	return w.findSplit(was)
}

func alike(durations []float64) []timed {
	d := make([]timed, len(durations))
	for i, x := range durations {
		d[i] = timed{time: x, weight: 1}
	}
	return d
}

// Slow ones that are met all the time tell where the border is when only a few of them are
// recorded, and are no larger share of all for it.
func TestSplitOfWhatIsMetAllTheTime(t *testing.T) {
	for _, tc := range []struct {
		name     string
		recorded int // of the slow ones
		met      int
		want     bool
	}{
		{"few are recorded", 3, 0, false},
		{"others are met besides", 3, 30, true},
	} {
		d := alike(make([]float64, 100))
		for i := range d {
			d[i].time = 4e6 + float64(i)
		}
		for i := range tc.recorded {
			d = append(d, timed{time: 60e6 + float64(i), weight: 1})
		}
		for i := range tc.met {
			d = append(d, timed{time: 50e6 + float64(i), weight: 0.1})
		}
		if s, ok := findSplit(d, 0); ok != tc.want || ok && (s.threshold < 4.1e6 || s.threshold > 50e6) {
			t.Errorf("%s: a tail: %v, from %.1f ms on", tc.name, ok, s.threshold/1e6)
		}
	}
	// Half of what is met wherever it is is a part of all that is.
	d := alike(make([]float64, 100))
	for i := range d {
		d[i].time = 4e6 + float64(i)
	}
	for i := range 100 {
		d = append(d, timed{time: 50e6 + float64(i), weight: 0.1})
	}
	if s, ok := findSplit(d, 0); !ok || s.median > 4.1e6 {
		t.Errorf("a tail: %v, beyond a median of %.1f ms", ok, s.median/1e6)
	}
}

// Where nearly half takes four times as long as the others there is a tail only far beyond that.
func TestSplitBeyondWhatIsNotAlike(t *testing.T) {
	for _, tc := range []struct {
		slow float64 // ns
		want bool
	}{{60e6, false}, {400e6, true}} {
		d := make([]float64, 1000)
		for i := range d {
			switch {
			case i%20 == 0:
				d[i] = tc.slow
			case i%9 < 4:
				d[i] = 8e6
			default:
				d[i] = 2e6
			}
			d[i] += float64(i) // no two are the same
		}
		if s, ok := findSplit(alike(d), 0); ok != tc.want || ok && (s.threshold < 8.1e6 || s.threshold > tc.slow) {
			t.Errorf("%.0f ms: a tail: %v, from %.1f ms on", tc.slow/1e6, ok, s.threshold/1e6)
		}
	}
}

// A kind of which most units are turns in which hardly anything happens has the tail of the
// others.
func TestSplitAmongManyShortTurns(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	k := kind{name: "loop"}
	for i := range 24000 {
		took := 2e3
		switch {
		case i%600 == 0:
			took = 60e6
		case i%20 == 0:
			took = 1e6
		}
		r := Request{Unit: true, Start: 1, End: 1 + int64(took*(0.8+0.4*rng.Float64()))}
		k.add(&r, 1)
		if i%1500 == 1499 {
			k.resplit(new(workspace))
		}
	}
	if !k.known || k.split.threshold < 2e6 || k.split.threshold > 45e6 {
		t.Errorf("a tail: %v, from %.3f ms on", k.known, k.split.threshold/1e6)
	}
	if k.count(); k.of[isFast].n < 5000 || math.Abs(600*k.of[isSlow].n/k.of[isFast].n-1) > 0.5 {
		t.Errorf("%.0f of %.0f are slow, one in 600 is", k.of[isSlow].n, k.of[isFast].n)
	}
}

// What is large takes longer, and is not slow.
func TestSizeIsTakenOut(t *testing.T) {
	k := kind{name: "GET /report"}
	rng := rand.New(rand.NewPCG(1, 3))
	for i := range maxRecent {
		r := Request{Kind: k.name, Start: 1, Size: 1 << 10}
		took := 4e6
		if i%20 == 0 {
			r.Size, took = 1<<17, 80e6
		}
		r.End = r.Start + int64(took*(0.8+0.4*rng.Float64()))
		k.add(&r, 1)
	}
	if k.resplit(new(workspace)); k.known {
		t.Errorf("large ones are taken for slow: %+v", k.split)
	}
	for i := range k.recent {
		k.recent[i].class = 0
	}
	k.fresh = 1
	if k.resplit(new(workspace)); !k.known {
		t.Error("slow ones are not seen without their size")
	}
}

// plainSplit is findSplit in the plain way: all requests are put in order, and each border in the upper
// part is tried.
func plainSplit(d []timed, was float64) (split, bool) {
	d = slices.Clone(d)
	sort.SliceStable(d, func(i, j int) bool { return d[i].time < d[j].time })
	n := len(d)
	below := make([]sums, n+1)
	for i, t := range d {
		below[i+1] = below[i]
		below[i+1].add(t)
	}
	all := below[n]
	at := func(share float64) int {
		return min(n-1, sort.Search(n, func(i int) bool { return below[i+1].weight > share*all.weight }))
	}
	upper, median := at(body), d[at(0.5)].time
	none := split{median: median}
	if n < fewRequests || all.weight < fewWhole {
		return none, false
	}
	b := borders{all: all, usual: median, longer: longer}
	if d[upper].time >= shortestSlow*median || median >= shortestSlow*d[at(middle)].time {
		b.usual, b.longer = d[upper].time, far
	}
	contrast := func(i int) float64 { return b.contrast(below[i], n-i) }
	best, border := 0.0, 0
	for i := upper; i < n; i++ {
		if i > 0 && d[i].time >= shortestSlow*b.usual && d[i].time != d[i-1].time && contrast(i) > best {
			best, border = contrast(i), i
		}
	}
	if border == 0 {
		return none, false
	}
	if i := sort.Search(n, func(i int) bool { return d[i].time >= was }); was > 0 && i >= upper && contrast(i) >= stays*best {
		return split{threshold: was, median: median}, true
	}
	return split{threshold: math.Sqrt(d[border-1].time * d[border].time), median: median}, true
}

// What is found without an order is what is found with one.
func TestSplitIsThatOfThePlainWay(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	found, stayed := 0, 0
	for range 3000 {
		d := make([]timed, 1+rng.IntN(400))
		share, times := 0.5*rng.Float64()*rng.Float64(), 1+30*rng.Float64()
		grain := []float64{1, 1e5, 2e6}[rng.IntN(3)] // large ones have many that take as long
		for i := range d {
			x := 4e6 * math.Exp((0.2+rng.Float64())*rng.NormFloat64())
			if rng.Float64() < share {
				x *= times
			}
			d[i] = timed{time: grain * math.Ceil(x/grain), weight: 1}
		}
		if rng.IntN(2) == 0 {
			weights := map[float64]float64{} // those that take as long have one weight: their order is nobody's
			for i := range d {
				if weights[d[i].time] == 0 {
					weights[d[i].time] = 0.1 + 3*rng.Float64()
				}
				d[i].weight = weights[d[i].time]
			}
		}
		was := 0.0
		if rng.IntN(2) == 0 {
			was = d[rng.IntN(len(d))].time * []float64{1, 0.97}[rng.IntN(2)]
		}
		want, ok := plainSplit(d, was)
		got, also := findSplit(d, was)
		if got != want || ok != also {
			t.Fatalf("of %d requests, and a border of %.2f ms: %+v %v, want %+v %v", len(d), was/1e6, got, also, want, ok)
		}
		if ok {
			found++
		}
		if ok && got.threshold == was {
			stayed++
		}
	}
	if found < 500 || stayed < 100 {
		t.Errorf("%d have a tail, the border of %d stays: too few to tell", found, stayed)
	}
}
