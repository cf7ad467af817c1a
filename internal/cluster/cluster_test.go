package cluster

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func appearance(calls ...byte) string {
	var b []byte
	for _, c := range calls {
		b = append(b, 0, c, 0, 0)
	}
	return string(b)
}

func TestDistance(t *testing.T) {
	for _, tc := range []struct {
		name string
		a, b string
		want float64
	}{
		{"equal", appearance(1, 2), appearance(1, 2), 0},
		{"disjoint", appearance(1, 2), appearance(3), 1},
		{"half", appearance(1, 2, 3), appearance(2, 3, 4), 0.5},
		{"one empty", "", appearance(3), 1},
		{"both empty", "", "", 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := Distance(tc.a, tc.b); got != tc.want {
				t.Errorf("Distance = %v, want %v", got, tc.want)
			}
			if Distance(tc.a, tc.b) != Distance(tc.b, tc.a) {
				t.Error("not symmetric")
			}
		})
	}
}

// Whatever the input: a partition, no wider than asked, the same for every
// order of the vectors.
func TestTopDownProperties(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		seen := map[string]bool{}
		var vectors []Vector
		for range 1 + rng.IntN(120) {
			var calls []byte
			for c := byte(1); c < 12; c++ {
				if rng.IntN(3) == 0 {
					calls = append(calls, c)
				}
			}
			a := appearance(calls...)
			if !seen[a] {
				seen[a] = true
				vectors = append(vectors, Vector{a, float64(1 + rng.IntN(1000))})
			}
		}
		clusters := TopDown(vectors, MaxDiameter)
		count := make([]int, len(vectors))
		for _, c := range clusters {
			if c.Diameter > MaxDiameter {
				t.Errorf("diameter %v above %v", c.Diameter, MaxDiameter)
			}
			for _, m := range c.Members {
				count[m]++
			}
		}
		for i, n := range count {
			if n != 1 {
				t.Fatalf("vector %d is in %d clusters", i, n)
			}
		}
		shuffled := slices.Clone(vectors)
		rng.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		again := TopDown(shuffled, MaxDiameter)
		if len(again) != len(clusters) {
			t.Fatalf("%d clusters, %d after a shuffle", len(clusters), len(again))
		}
		for i := range again {
			if again[i].Medoid != clusters[i].Medoid || again[i].Weight != clusters[i].Weight {
				t.Errorf("cluster %d differs after a shuffle", i)
			}
		}
	}
}

func TestTopDownBeyondTheBound(t *testing.T) {
	var vectors []Vector
	for i := range MaxVectors + 40 {
		vectors = append(vectors, Vector{string([]byte{0, byte(i % 7), byte(i >> 8), byte(i)}), float64(i + 1)})
	}
	members := 0
	for _, c := range TopDown(vectors, MaxDiameter) {
		members += len(c.Members)
	}
	if members != len(vectors) {
		t.Errorf("%d of %d vectors were clustered", members, len(vectors))
	}
}

func TestTrackerKeepsIdentity(t *testing.T) {
	var tracker Tracker
	first := []Cluster{{Medoid: appearance(1, 2, 3, 4)}, {Medoid: appearance(8, 9)}}
	tracker.match(first)
	second := []Cluster{{Medoid: appearance(8, 9)}, {Medoid: appearance(1, 2, 3, 4, 5)}, {Medoid: appearance(20)}}
	tracker.match(second)
	if second[0].ID != first[1].ID || second[1].ID != first[0].ID {
		t.Errorf("identities changed: %v then %v", first, second)
	}
	if second[2].ID == first[0].ID || second[2].ID == first[1].ID {
		t.Error("a new cluster took an old identity")
	}
}

func TestAssignClustersAnewOnlyForWhatIsNew(t *testing.T) {
	var tracker Tracker
	a, b, near, far := appearance(1, 2, 3, 4), appearance(8, 9), appearance(1, 2, 3, 4, 5), appearance(30)
	first := tracker.Assign([]Vector{{a, 10}, {b, 5}})
	again := tracker.Assign([]Vector{{b, 1}, {a, 9}, {near, 1}})
	if tracker.round != 1 || again[0] != first[1] || again[1] != first[0] || again[2] != first[0] {
		t.Errorf("assigned %v, then %v in round %d", first, again, tracker.round)
	}
	more := tracker.Assign([]Vector{{far, 1}, {a, 9}, {b, 2}})
	if tracker.round != 2 || more[0] == first[0] || more[0] == first[1] || more[1] != first[0] || more[2] != first[1] {
		t.Errorf("assigned %v after %v in round %d", more, first, tracker.round)
	}
}

func BenchmarkTopDown(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 2))
	var vectors []Vector
	for i := range 300 {
		calls := []byte{byte(i % 20)}
		for c := byte(30); c < 60; c++ {
			if rng.IntN(6) == 0 {
				calls = append(calls, c)
			}
		}
		vectors = append(vectors, Vector{appearance(calls...), rng.Float64()})
	}
	for b.Loop() {
		TopDown(vectors, MaxDiameter)
	}
}
