package evaluation

import (
	"math"
	"testing"
)

// The bounds are those of the chi-squared table: half of its 95 % quantile with
// 2(n+1) degrees of freedom.
func TestPoissonUpper95(t *testing.T) {
	for n, want := range map[int]float64{0: 2.9957, 1: 4.7439, 2: 6.2958, 5: 10.5130, 10: 16.9622, 50: 63.2871, 99: 116.997} {
		if got := PoissonUpper95(n); math.Abs(got-want) > 0.001*want {
			t.Errorf("%d seen: %.4f, want %.4f", n, got, want)
		}
	}
}
