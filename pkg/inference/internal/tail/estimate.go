package tail

import (
	"math"

	"gonum.org/v1/gonum/mat"
)

// inverse is that of the normal equations, over the classes that were seen.
func (p *Pool) inverse() (*mat.SymDense, map[int]int) {
	index := map[int]int{}
	var classes []int
	largest := 0.0
	for c := range p.gram {
		if p.gram[c][c] > 0 {
			index[c] = len(classes)
			classes = append(classes, c)
			largest = max(largest, p.gram[c][c])
		}
	}
	if len(classes) == 0 {
		return nil, nil
	}
	const (
		ridge = 1e-6 // of classes that always come together
		// nobodys is how much weight there is on nobody having spent the time: where
		// there are always as many requests under way it is theirs.
		nobodys = 0.02
	)
	g := mat.NewSymDense(len(classes), nil)
	for i, a := range classes {
		for j, b := range classes[i:] {
			x := p.gram[a][b]
			if j == 0 {
				x += ridge * largest
			}
			if a == nobody && b == nobody {
				x += nobodys * x
			}
			g.SetSym(i, i+j, x)
		}
	}
	var c mat.Cholesky
	if !c.Factorize(g) {
		return nil, nil
	}
	var inverse mat.SymDense
	if c.InverseTo(&inverse) != nil {
		return nil, nil
	}
	return &inverse, index
}

// estimate reads off sums how much time goes with a slow request, and how much a fast
// one would have had in its place.
type estimate struct {
	// slow and fast are the weights of each class; both in nanoseconds per second of a
	// slow request.
	slow, fast []float64
	class      []int
	self       int
}

func newEstimate(inverse *mat.SymDense, index map[int]int, s, f int, k *kind) estimate {
	n := len(index)
	e := estimate{slow: make([]float64, n), fast: make([]float64, n), class: make([]int, n)}
	shorter := k.mean(isFast) / k.mean(isSlow)
	for c, i := range index {
		e.class[i] = c
		e.slow[i] = 1e9 * inverse.At(s, i)
		e.fast[i] = 1e9 * inverse.At(f, i) * shorter
		if i == s {
			e.self = c
		}
	}
	return e
}

// mixed takes all time of all requests for that of slow ones.
func (p *Pool) mixed(k *kind) (e estimate) {
	for c := range p.gram {
		if k.spans == (c == nobody) {
			e.class, e.slow, e.fast = append(e.class, c), append(e.slow, 1e9/max(1, k.of[isSlow].looked)), append(e.fast, 0)
		}
	}
	return e
}

func (k *kind) mean(class int) float64 { return k.of[class].time / k.of[class].known }

// of is the time of a slow and of a fast request, the difference and its standard error.
func (e *estimate) of(m *moments) (slow, fast, more, unsure float64) {
	for i, c := range e.class {
		t, square := m.at(c)
		slow += e.slow[i] * t
		fast += e.fast[i] * t
		d := e.slow[i] - e.fast[i]
		unsure += d * d * square
	}
	return max(0, slow), max(0, fast), slow - max(0, fast), math.Sqrt(unsure)
}

// sightings is about how many there are in slow requests.
func (e *estimate) sightings(m *moments) float64 {
	t, square := m.at(e.self)
	if square <= 0 {
		return 0
	}
	return t * t / square
}
