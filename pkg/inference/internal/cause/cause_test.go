package cause

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/perfscope/perfscope/pkg/inference/internal/hop"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// A past that was asked before says of a hop what a new one says.
func TestAPastSaysTheSameHoweverOftenItIsAsked(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	figures := func(some float64) map[hop.Resource]float64 {
		out := map[hop.Resource]float64{}
		for m := threadtrace.Measure(0); m < 64; m++ {
			for _, name := range []string{"", "a", "b"} {
				if rng.Float64() < some {
					out[hop.Resource{Measure: m, Name: name}] = 1e9 * rng.Float64() * rng.Float64()
				}
			}
		}
		return out
	}
	at := func(some float64) *hop.Closed {
		return &hop.Closed{
			Seconds: 5, CPUTotal: 1e9 * rng.Float64(), RunDelay: 1e9 * rng.Float64(), SnapshotPeriod: 4e7,
			Machine: hop.Machine{Seconds: float64(rng.IntN(6)), Figures: figures(some), Users: map[hop.User]float64{{Of: threadtrace.MeasureHostBusy, Name: "cron"}: 1e9 * rng.Float64()}},
		}
	}
	found := 0
	for range 50 {
		var past []*hop.Closed
		for range 20 {
			past = append(past, at(0.1))
		}
		asked := NewPast(past)
		for range 10 {
			now := at(0.6)
			now.Machine.Seconds = 5
			one := func() float64 { return 1 }
			c := Case{
				Hop: now, Work: 2 * rng.Float64(), WaitExcess: 1e9, Active: 1e9, Waits: Waits{Storage: 5e8, Peer: 5e8},
				Storage: one, Moved: one, Sent: one, Syncs: func(h *hop.Closed) float64 { return h.RunDelay / 2 },
			}
			again, anew := c, c
			again.Past, anew.Past = asked, NewPast(past)
			test := Test{Evidence: 10}
			got, want := test.Compare(&again), test.Compare(&anew)
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("%s, want %s", fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", want))
			}
			found += len(got.Doubts)
		}
	}
	if found < 100 {
		t.Errorf("%d causes in doubt: too few to tell", found)
	}
}
