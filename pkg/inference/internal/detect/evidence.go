package detect

import (
	"math"
	"slices"
)

// rates are the growth ratios that the test mixes: it need not know by how much a
// fault makes a figure grow.
var rates = [8]float64{1.25, 1.5, 2, 3, 5, 8, 16, 64}

// logRates are their logarithms.
var logRates = func() (logs [len(rates)]float64) {
	for i, r := range rates {
		logs[i] = math.Log(r)
	}
	return logs
}()

// LogLikelihoodRatio is the evidence of a count k against the hypothesis that its
// mean is at most mean: the logarithm of the mean likelihood ratio over rates, of
// negative binomial counts whose variance is mean + dispersion*mean². It is
// negative when the count speaks for the hypothesis. Summed up over hops and
// never below zero it is a mixture CUSUM, an e-detector (Shin, Ramdas, Rinaldo,
// New England Journal of Statistics in Data Science 2023).
func LogLikelihoodRatio(k, mean, dispersion float64) float64 {
	var logs [len(rates)]float64
	for i, r := range rates {
		if dispersion > 0 {
			logs[i] = k*logRates[i] - (k+1/dispersion)*math.Log((1+dispersion*r*mean)/(1+dispersion*mean))
		} else {
			logs[i] = k*logRates[i] - (r-1)*mean
		}
	}
	return logMean(logs[:])
}

// Presence is the evidence of k sightings in most looks against the hypothesis that
// at most mean are expected. A thread that is always there cannot be seen more often
// than one looks, so sightings are binomial; what varies beyond that is taken out by
// the design effect 1 + dispersion*mean (Kish, Survey Sampling, 1965).
func Presence(k, mean, most, dispersion float64) float64 {
	most = max(most, k)
	p := min(mean/most, 1)
	var logs [len(rates)]float64
	for i, r := range rates {
		q := min(r*p, 0.999)
		if q <= p {
			logs[i] = 0
			continue
		}
		logs[i] = k*math.Log(q/p) + (most-k)*math.Log((1-q)/(1-p))
	}
	return logMean(logs[:]) / (1 + dispersion*mean)
}

// logMean is the logarithm of the mean of what logarithms are given of.
func logMean(logs []float64) float64 {
	largest := slices.Max(logs)
	sum := 0.0
	for _, l := range logs {
		sum += math.Exp(l - largest)
	}
	return largest + math.Log(sum/float64(len(logs)))
}
