//go:build linux && (amd64 || arm64)

package capture

import (
	"testing"
	"time"
)

func TestClockFollowsDriftAndNotJitter(t *testing.T) {
	const start = int64(1_700_000_000_000_000_000)
	us := func(n int64) int64 { return n * int64(time.Microsecond) }
	for name, c := range map[string]struct {
		kept, read reading
		want       int64 // beyond start, ns
	}{
		"first":                {reading{}, reading{start, us(1)}, 0},
		"jitter":               {reading{start, us(1)}, reading{start + us(20), us(1)}, 0},
		"drift":                {reading{start, us(1)}, reading{start + us(60), us(1)}, us(60)},
		"interrupted":          {reading{start, us(1)}, reading{start + us(400), us(1000)}, 0},
		"set while wide":       {reading{start, us(1)}, reading{start + us(5000), us(1000)}, us(5000)},
		"narrower than before": {reading{start, us(1000)}, reading{start - us(400), us(1)}, -us(400)},
		"as wide as before":    {reading{start, us(1000)}, reading{start - us(400), us(900)}, 0},
	} {
		k := clock{reading: c.kept}
		k.follow(c.read)
		if got := k.offset - start; got != c.want {
			t.Errorf("%s: the offset moved by %d ns, want %d", name, got, c.want)
		}
	}
}
