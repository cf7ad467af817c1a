package evaluation

import "math"

// PoissonUpper95 is the largest expected number of events that is not yet ruled
// out, at 95 %, when n were seen: with more, n or fewer would come in less than
// one time out of twenty. It is 2.996 for none.
func PoissonUpper95(n int) float64 {
	low, high := float64(n), float64(n)+6*math.Sqrt(float64(n)+1)+4
	for range 60 {
		mid := (low + high) / 2
		if atMost(n, mid) > 0.05 {
			low = mid
		} else {
			high = mid
		}
	}
	return high
}

// atMost is the probability of n events or fewer where mean are expected.
func atMost(n int, mean float64) (sum float64) {
	for i := range n + 1 {
		logFactorial, _ := math.Lgamma(float64(i) + 1)
		sum += math.Exp(float64(i)*math.Log(mean) - mean - logFactorial)
	}
	return sum
}
