package slowdown

import "testing"

func TestLeastLost(t *testing.T) {
	for name, c := range map[string]struct {
		times []int64
		want  int64
	}{
		"all lost as much":     {[]int64{15, 15, 15, 15}, 15},
		"a few lost it all":    {[]int64{1, 4, 5, 6, 6, 7, 900}, 900},
		"none lost any":        {[]int64{1, 2, 3}, 0},
		"a little and a lot":   {[]int64{5, 6, 100, 100}, 100},
		"half of it each":      {[]int64{55, 55}, 55},
		"nothing was measured": {nil, 0},
	} {
		if got := leastLost(c.times, 5); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}
