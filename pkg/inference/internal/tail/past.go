package tail

import (
	"math"

	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"
)

const (
	// spell is the time that is compared with others like it, in nanoseconds.
	spell = int64(30e9)
	// maxSpells bounds those that are kept, fewSpells is how many make a past.
	maxSpells, fewSpells = 16, 8
	// lasting is how many spells in a row must differ.
	lasting = 2
	// rare is how probable a difference may be that is told: a false one in thousands
	// of days of a kind that is as it was, since it must come twice.
	rare = 1e-5
	// notable is by what factor the share or the length must have grown.
	notable = 1.5
	// lengths are the classes of a duration, lengthsPer of them to its doubling, from
	// shortest on in nanoseconds.
	lengths, lengthsPer, shortest = 112, 4, 1e3
)

// Change says what of the slow requests of a kind has left its past.
type Change string

// The changes.
const (
	ChangeShare  Change = "share"
	ChangeLength Change = "length"
)

// past has how long the requests of a kind took in each of the last spells.
type past struct {
	spells []spellCounts
	now    spellCounts
	until  int64
	// what has changed, what is usual instead, and how many spells ago that was.
	what  Change
	usual float64
	ago   int
	// judged is set once the last spell was compared with those before.
	judged bool
}

// spellCounts are requests by their duration.
type spellCounts struct {
	of [lengths]uint16
	n  int
}

func lengthOf(duration float64) int {
	if duration <= shortest {
		return 0
	}
	// A floating point number is its doubling and the part of that: each request is told its
	// class twice.
	const mantissa, bias = 52, 1023
	bits := math.Float64bits(duration / shortest)
	n := lengthsPer * (int(bits>>mantissa) - bias) //nolint:gosec // 11 bits
	for _, limit := range parts {
		if bits&(1<<mantissa-1) >= limit {
			n++
		}
	}
	return min(lengths-1, n)
}

// parts are where the classes of a doubling begin, but for the first, as parts of it.
var parts = func() (p [lengthsPer - 1]uint64) {
	for i := range p {
		p[i] = math.Float64bits(math.Exp2(float64(i+1)/lengthsPer)) & (1<<52 - 1)
	}
	return p
}()

func (p *past) add(duration float64, at int64) {
	if p.until == 0 {
		p.until = at + spell
	}
	for at >= p.until {
		p.end()
		if at-p.until > maxSpells*spell {
			p.until = at
		}
		p.until += spell
	}
	if c := &p.now.of[lengthOf(duration)]; *c < math.MaxUint16 {
		*c++
		p.now.n++
	}
}

// end closes a spell. One in which there was nearly nothing tells nothing.
func (p *past) end() {
	if p.now.n >= fewRequests {
		if len(p.spells) >= maxSpells {
			p.spells = append(p.spells[:0], p.spells[1:]...)
		}
		p.spells = append(p.spells, p.now)
		p.ago++
		p.judged = false
	}
	p.now = spellCounts{}
}

// slow is the share of the requests from a threshold on, and the mean and variance of
// the logarithm of what those take.
func (c *spellCounts) slow(threshold float64) (share, length, variance float64, n int) {
	sum, squares := 0.0, 0.0
	for i := lengthOf(threshold); i < lengths; i++ {
		x := (float64(i) + 0.5) / lengthsPer * math.Ln2
		k := float64(c.of[i])
		n, sum, squares = n+int(c.of[i]), sum+k*x, squares+k*x*x
	}
	if n == 0 {
		return 0, 0, 0, 0
	}
	length = sum / float64(n)
	return float64(n) / float64(c.n), length, max(0, squares/float64(n)-length*length), n
}

// leaves says what of the requests from a threshold on has left its past, and what it
// usually is: the share, or the length in nanoseconds. What has changed stays so until
// it is back, or for as long as the past is kept.
func (p *past) leaves(threshold float64) (what Change, usual float64) {
	if p.judged {
		return p.what, p.usual
	}
	p.judged = true
	if p.what == "" {
		p.what, p.usual = p.compare(threshold)
		p.ago = 0
		return p.what, p.usual
	}
	share, length, _, _ := p.spells[len(p.spells)-1].slow(threshold)
	back := p.what == ChangeShare && share < notable*p.usual || p.what == ChangeLength && shortest*math.Exp(length) < notable*p.usual
	if back || p.ago >= maxSpells {
		// A past that has another one in it is none.
		p.what, p.usual, p.spells = "", 0, p.spells[len(p.spells)-1:]
	}
	return p.what, p.usual
}

// compare holds the last spells against those before.
func (p *past) compare(threshold float64) (what Change, usual float64) {
	was := len(p.spells) - lasting
	if was < fewSpells {
		return "", 0
	}
	var shares, roots, rootErrors, long, longErrors []float64
	for i := range p.spells {
		s, l, v, n := p.spells[i].slow(threshold)
		shares = append(shares, s)
		// The variance of this does not depend on the share.
		roots, rootErrors = append(roots, math.Asin(math.Sqrt(s))), append(rootErrors, 1/(4*float64(p.spells[i].n)))
		if n >= fewSlow {
			long, longErrors = append(long, l), append(longErrors, max(v, 0.01)/float64(n))
		}
	}
	if more(roots, rootErrors) {
		if usual = stat.Mean(shares[:was], nil); least(shares[was:]) >= notable*usual {
			return ChangeShare, usual
		}
	}
	if len(long) == len(p.spells) && more(long, longErrors) {
		if usual := stat.Mean(long[:was], nil); least(long[was:])-usual >= math.Log(notable) {
			return ChangeLength, shortest * math.Exp(usual)
		}
	}
	return "", 0
}

func least(x []float64) float64 { return min(x[0], x[1]) }

// more reports whether each of the last values is larger than those before let expect;
// unsure is the variance that each has by its own number.
func more(x, unsure []float64) bool {
	n := len(x) - lasting
	mean, variance := stat.MeanVariance(x[:n], nil)
	variance = max(variance, stat.Mean(unsure[:n], nil))
	of := distuv.StudentsT{Sigma: 1, Nu: float64(n - 1)}
	for i := n; i < len(x); i++ {
		t := (x[i] - mean) / math.Sqrt(max(variance, unsure[i])+variance/float64(n))
		if of.Survival(t) > rare {
			return false
		}
	}
	return true
}
