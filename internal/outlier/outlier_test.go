package outlier

import (
	"math/rand/v2"
	"testing"
)

func TestDegrees(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	var past [][]float64
	for range 300 {
		past = append(past, []float64{2 + 0.2*rng.NormFloat64(), 5 + 0.3*rng.NormFloat64(), 1})
	}
	present := [][]float64{{2, 5, 1}, {2.1, 4.8, 1.05}, {2, 9, 1}, {2, 5, 3}}
	degrees := Degrees(past, present)
	for i, outlier := range []bool{false, false, true, true} {
		if (degrees[i] > 1) != outlier {
			t.Errorf("point %v: degree %.2f, outlier should be %v", present[i], degrees[i], outlier)
		}
	}
	if Degrees(past[:10], present) != nil {
		t.Error("ten points are no past to judge by")
	}
}

// A second mode of the cluster is no outlier, however far from the first.
func TestDegreesOfASecondMode(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	var past [][]float64
	for i := range 200 {
		past = append(past, []float64{float64(i%2)*4 + 0.1*rng.NormFloat64()})
	}
	if d := Degrees(past, [][]float64{{0.02}, {4.05}, {40}}); d[0] > 1 || d[1] > 1 || d[2] < 1 {
		t.Errorf("degrees %v", d)
	}
}
