package detect

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// negativeBinomial draws a count with a mean and a dispersion: a Poisson count
// whose mean is Gamma's.
func negativeBinomial(rng *rand.Rand, mean, dispersion float64) float64 {
	if dispersion > 0 {
		mean *= gamma(rng, 1/dispersion) * dispersion
	}
	n := 0.0
	for at := rng.ExpFloat64(); at < mean; at += rng.ExpFloat64() {
		n++
	}
	return n
}

// gamma draws from a Gamma distribution of a shape and scale 1 (Marsaglia and Tsang,
// ACM Transactions on Mathematical Software 2000).
func gamma(rng *rand.Rand, shape float64) float64 {
	if shape < 1 {
		return gamma(rng, shape+1) * math.Pow(rng.Float64(), 1/shape)
	}
	d := shape - 1.0/3
	c := 1 / math.Sqrt(9*d)
	for {
		x := rng.NormFloat64()
		v := math.Pow(1+c*x, 3)
		if v > 0 && math.Log(rng.Float64()) < 0.5*x*x+d-d*v+d*math.Log(v) {
			return d * v
		}
	}
}

func lgamma(x float64) float64 { y, _ := math.Lgamma(x); return y }

// logNegativeBinomial is the logarithm of the probability of a count.
func logNegativeBinomial(k, mean, dispersion float64) float64 {
	if dispersion == 0 {
		return k*math.Log(mean) - mean - lgamma(k+1)
	}
	r := 1 / dispersion
	return lgamma(k+r) - lgamma(r) - lgamma(k+1) + r*math.Log(r/(r+mean)) + k*math.Log(mean/(r+mean))
}

func TestMoreSightingsAreMoreEvidence(t *testing.T) {
	for _, mean := range []float64{0.1, 1, 7.5, 40} {
		for _, dispersion := range []float64{0, 0.05, 0.25, 2} {
			before, beforePresence := math.Inf(-1), math.Inf(-1)
			for k := 0.0; k <= 400; k += 0.5 {
				llr := LogLikelihoodRatio(k, mean, dispersion)
				if !(llr > before) {
					t.Fatalf("mean %v, dispersion %v: %v sightings are evidence %v, fewer %v", mean, dispersion, k, llr, before)
				}
				before = llr
				if k > 100 || mean > 100 {
					continue
				}
				p := Presence(k, mean, 100, dispersion)
				if !(p > beforePresence) {
					t.Fatalf("mean %v of 100, dispersion %v: %v sightings are evidence %v, fewer %v", mean, dispersion, k, p, beforePresence)
				}
				beforePresence = p
			}
		}
	}
}

func TestWhatIsExpectedIsNoEvidence(t *testing.T) {
	for _, mean := range []float64{0.1, 1, 7.5, 40} {
		if llr := LogLikelihoodRatio(mean, mean, 0.05); llr >= 0 {
			t.Errorf("the mean of %v is evidence %v", mean, llr)
		}
		if p := Presence(mean, mean, 100, 0.05); p >= 0 {
			t.Errorf("%v of 100, as expected, is evidence %v", mean, p)
		}
	}
}

// The likelihood ratio is an e-value: its mean is at most one as long as the mean is
// at most the one expected, whatever the counts.
func TestTheLikelihoodRatioIsOneOnAverage(t *testing.T) {
	for _, mean := range []float64{0.2, 2, 15} {
		for _, dispersion := range []float64{0, 0.05, 0.5} {
			for _, part := range []float64{1, 0.5} {
				sum := 0.0
				for k := 0.0; k < 400*mean+2000; k++ {
					sum += math.Exp(logNegativeBinomial(k, part*mean, dispersion) + LogLikelihoodRatio(k, mean, dispersion))
				}
				if sum > 1+1e-6 || part == 1 && sum < 0.99 {
					t.Errorf("mean %v of %v, dispersion %v: %v", part*mean, mean, dispersion, sum)
				}
			}
		}
	}
}

func TestThePresenceRatioIsAtMostOneOnAverage(t *testing.T) {
	const most = 25.0
	for _, mean := range []float64{0.5, 3, 12, 24} {
		for _, dispersion := range []float64{0, 0.25, 1} {
			sum, p := 0.0, mean/most
			for k := 0.0; k <= most; k++ {
				log := lgamma(most+1) - lgamma(k+1) - lgamma(most-k+1) + k*math.Log(p) + (most-k)*math.Log(1-p)
				sum += math.Exp(log + Presence(k, mean, most, dispersion))
			}
			if sum > 1+1e-9 {
				t.Errorf("mean %v of %v, dispersion %v: %v", mean, most, dispersion, sum)
			}
		}
	}
}

// A sum that never falls below zero reaches h by chance at most once in e^h hops.
func TestTheSequentialTestKeepsItsPromise(t *testing.T) {
	const hops = 100_000
	for _, h := range []float64{3, 5, 7} {
		for _, c := range []struct{ mean, dispersion float64 }{{0.3, 0}, {3, 0.05}, {20, 0.05}, {5, 0.5}} {
			t.Run(fmt.Sprint(h, c), func(t *testing.T) {
				alarms := 0.0
				for seed := range uint64(5) {
					rng := rand.New(rand.NewPCG(seed, 1))
					sum := 0.0
					for range hops / 5 {
						if sum = max(0, sum+LogLikelihoodRatio(negativeBinomial(rng, c.mean, c.dispersion), c.mean, c.dispersion)); sum >= h {
							alarms++
							sum = 0
						}
					}
				}
				// Three standard errors of a count that small.
				if most := hops * math.Exp(-h); alarms > most+3*math.Sqrt(most)+1 {
					t.Errorf("%v alarms in %d hops, at most %.0f are promised", alarms, hops, most)
				}
			})
		}
	}
}

func TestADepartureIsFoundSoonByTheSequentialTest(t *testing.T) {
	for _, growth := range []float64{2, 4, 16} {
		worst := 0
		for seed := range uint64(20) {
			rng := rand.New(rand.NewPCG(seed, 2))
			sum, n := 0.0, 0
			for ; sum < 12 && n < 100; n++ {
				sum = max(0, sum+LogLikelihoodRatio(negativeBinomial(rng, growth*20, 0.05), 20, 0.05))
			}
			worst = max(worst, n)
		}
		if limit := map[float64]int{2: 15, 4: 3, 16: 1}[growth]; worst > limit {
			t.Errorf("%v times as much is certain after up to %d hops, want %d", growth, worst, limit)
		}
	}
}
