package outlier

import (
	"math"
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

func TestLoads(t *testing.T) {
	// Connections, reads and their bytes, writes and their bytes.
	measures := []Measure{{0, -1}, {1, 2}, {3, 4}}
	past := [][]float64{{20, 100, 1e4, 100, 1e5}, {20, 100, 1e4, 100, 1e5}, {10, 50, 5e3, 50, 5e4}}
	for _, tc := range []struct {
		name string
		now  []float64
		want float64
	}{
		{"the same", []float64{20, 100, 1e4, 100, 1e5}, 1},
		{"three times the requests", []float64{60, 300, 3e4, 300, 3e5}, 3},
		{"reads of one byte", []float64{20, 1e4, 1e4, 100, 1e5}, 1},
		{"sixteen requests in a read", []float64{20, 100, 16e4, 100, 16e5}, 16},
		{"nothing comes in", []float64{0, 0, 0, 0, 0}, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			loads, now, ok := Loads(past, tc.now, measures, 5)
			if math.Abs(now-tc.want) > 1e-9 || !ok {
				t.Errorf("load %v, %v, want %v", now, ok, tc.want)
			}
			if loads[0] != 1 || loads[2] != 0.5 {
				t.Errorf("past loads %v", loads)
			}
		})
	}
	if _, now, ok := Loads([][]float64{{1}}, []float64{3}, []Measure{{0, -1}}, 5); now != 1 || ok {
		t.Errorf("without measures the load is %v, %v, want 1 and not known", now, ok)
	}
}

func TestPast(t *testing.T) {
	values := []float64{1, 1.1, 0.9, 2, 1, 1.05}
	loads := []float64{1, 1, 1, 2, 1, 1}
	p := NewPast(values, loads)
	if e := p.Expected(3); e < 3 || e > 4 {
		t.Errorf("three times the load lets expect %v", e)
	}
	if e := p.Expected(0.1); e < 1 || e > 2 {
		t.Errorf("less load lets expect %v", e)
	}
	if p.Proportional(0.25) >= p.Expected(0.25) {
		t.Error("the whole of a service falls with the load")
	}
	if (NewPast(nil, nil) != Past{}) {
		t.Error("no past expects nothing")
	}
}

// The edge of what chance alone moves is its mean.
func TestWithoutChance(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	const grain = 1e9 / 49
	for _, mean := range []float64{2, 5, 20, 100} { // samples in a hop
		values, loads := make([]float64, 2000), make([]float64, 2000)
		for i := range values {
			loads[i] = 1
			for at := rng.ExpFloat64(); at < mean; at += rng.ExpFloat64() {
				values[i] += grain
			}
		}
		p := NewPast(values, loads)
		edge := p.WithoutChance(grain).Edge()
		if math.Abs(edge-mean*grain) > 0.15*mean*grain+0.5*grain || edge >= p.Edge() {
			t.Errorf("%v samples in a hop: the edge is %.1f, without chance %.1f", mean, p.Edge()/grain, edge/grain)
		}
	}
	if edge := NewPast([]float64{0, 0}, []float64{1, 1}).WithoutChance(grain).Edge(); edge != 0 {
		t.Errorf("the edge of nothing is %v", edge)
	}
}
