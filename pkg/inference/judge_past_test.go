package inference

import (
	"testing"

	"github.com/perfscope/perfscope/pkg/inference/internal/baseline"
	"github.com/perfscope/perfscope/pkg/inference/internal/hop"
)

// TestIsStillOf: a past serves until more than a tenth of the hops are other ones.
func TestIsStillOf(t *testing.T) {
	var all []*hop.Closed
	for i := range 80 {
		all = append(all, &hop.Closed{Start: int64(i) * second})
	}
	past := func(hops []*hop.Closed) *normal {
		var vectors []*baseline.Vector
		for _, h := range hops {
			vectors = append(vectors, &baseline.Vector{Hop: h, Load: 1})
		}
		return &normal{past: baseline.NewPast(vectors)}
	}
	others := make([]*hop.Closed, 60)
	for i := range others {
		others[i] = &hop.Closed{Start: all[i].Start}
	}
	for name, tc := range map[string]struct {
		past, hops []*hop.Closed
		want       bool
	}{
		"the same":                   {all[:60], all[:60], true},
		"six later":                  {all[:60], all[6:66], true},
		"seven later":                {all[:60], all[7:67], false},
		"it grows":                   {all[:60], all[:66], true},
		"it grows by more":           {all[:60], all[:67], false},
		"a few, where one is a lot":  {all[:8], all[:9], false},
		"others of the same times":   {all[:60], others, false},
		"fewer":                      {all[:60], all[5:60], true},
		"most are forgotten":         {all[:60], all[50:60], false},
		"older ones are back":        {all[20:60], all[:60], false},
		"those without work are out": {all[:60], all[30:64], false},
	} {
		if got := past(tc.past).isStillOf(tc.hops); got != tc.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
