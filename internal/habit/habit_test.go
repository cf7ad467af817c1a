package habit

import (
	"math/rand/v2"
	"strconv"
	"testing"
	"time"
)

var (
	onCPU   = Feature{Role: "server"}
	polling = Feature{Role: "server", Waiting: true, Number: 232}
	syncing = Feature{Role: "server", Waiting: true, Number: 75}
)

// play gives a service rounds of figures, in CPUs and threads.
func play(s *Service, from, rounds int, figures func(round int) map[Feature]float64) (found []Change) {
	for i := from; i < from+rounds; i++ {
		for f, x := range figures(i) {
			s.Add(f, x*Round.Seconds())
		}
		if c, ok := s.Close(int64(i+2) * int64(Round)); ok {
			found = append(found, c)
		}
	}
	return found
}

func TestLeavingAHabit(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	noisy := func(x float64) float64 { return x * (0.8 + 0.4*r.Float64()) }
	normal := func(int) map[Feature]float64 {
		x := noisy(0.3)
		return map[Feature]float64{onCPU: x, polling: 1 - x}
	}
	for _, tc := range []struct {
		name string
		then map[Feature]float64
		want *Feature
	}{
		{"a loop", map[Feature]float64{onCPU: 1}, nil}, // either side of it
		{"a wait where there was none", map[Feature]float64{onCPU: 0.3, polling: 0.4, syncing: 0.3}, &syncing},
		{"twice as busy", map[Feature]float64{onCPU: 0.62, polling: 0.38}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := NewService()
			if found := play(s, 0, 200, normal); len(found) > 0 {
				t.Fatalf("normal life is out of habit: %+v", found)
			}
			found := play(s, 200, 1, func(int) map[Feature]float64 { return tc.then })
			if len(found) != 1 || tc.want != nil && found[0].Feature != *tc.want {
				t.Fatalf("found %+v, want %+v", found, tc.want)
			}
			t.Logf("%+v", found[0])
			// What lasts becomes the habit.
			if found := play(s, 201, 100, func(int) map[Feature]float64 { return tc.then }); len(found) == 0 || len(found) > kept {
				t.Errorf("out of habit for %d rounds more", len(found))
			}
		})
	}
}

func TestNoHabitYet(t *testing.T) {
	found := play(NewService(), 0, least, func(i int) map[Feature]float64 { return map[Feature]float64{onCPU: float64(i % 2)} })
	if len(found) > 0 {
		t.Errorf("out of habit without one: %+v", found)
	}
}

func TestBounds(t *testing.T) {
	s := NewService()
	play(s, 0, 500, func(i int) map[Feature]float64 {
		m := map[Feature]float64{}
		for n := range 300 {
			m[Feature{Role: strconv.Itoa(i) + "-" + strconv.Itoa(n)}] = 1
		}
		return m
	})
	if len(s.values) > maxFeatures || len(s.sums) > maxFeatures {
		t.Errorf("%d and %d features are kept", len(s.values), len(s.sums))
	}
	for _, v := range s.values {
		if len(v) > kept {
			t.Errorf("%d rounds are kept", len(v))
		}
	}
}

func TestShortRoundsWait(t *testing.T) {
	s := NewService()
	s.Close(1)
	s.Add(onCPU, 1)
	if _, ok := s.Close(int64(time.Second)); ok || s.rounds != 0 {
		t.Error("a round ended early")
	}
	if s.Close(int64(Round) + 1); s.rounds != 1 {
		t.Error("a round did not end")
	}
}
