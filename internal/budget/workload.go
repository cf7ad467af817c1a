package budget

import "time"

const (
	// usualCall is what a recorded call costs this process, from the ring to the
	// scored unit, until it is known better; see docs/performance.md.
	usualCall = 500 * time.Nanosecond
	// unsure is the spread of recorded calls, per look, from which on the looks
	// tell more than usualCall does: it takes milliseconds to record so many, as
	// other work of this process comes and goes with.
	unsure = 5000
	// wrong bounds how far from usualCall the truth may be.
	wrong = 4
	// forget is how much a look counts once the next one is there: about thirty
	// of them, a minute, are remembered.
	forget = 1 - 1.0/30
)

// workload tells how much of the CPU time of this process each recorded call
// takes, from how the one moves with the other: time = rest x elapsed +
// perCall x recorded, by least squares over the last looks, with usualCall as
// the prior (ridge regression). What does not move with the calls, symbols to
// read or the watch, could not be saved by recording less.
type workload struct {
	tt, tr, rr, to, ro float64 // sums of products: t elapsed, r recorded, o own
}

func (w *workload) observe(u Usage) {
	t, r, o := u.Elapsed.Seconds(), float64(u.Recorded), u.Own.Seconds()
	for _, s := range []struct {
		sum *float64
		by  float64
	}{{&w.tt, t * t}, {&w.tr, t * r}, {&w.rr, r * r}, {&w.to, t * o}, {&w.ro, r * o}} {
		*s.sum = forget**s.sum + s.by
	}
}

// perCall is in nanoseconds.
func (w *workload) perCall() float64 {
	const prior, weight = float64(usualCall) / 1e9, unsure * unsure
	if w.tt == 0 {
		return float64(usualCall)
	}
	rr, ro := w.rr+weight-w.tr*w.tr/w.tt, w.ro+weight*prior-w.tr*w.to/w.tt
	return 1e9 * min(wrong*prior, max(prior/wrong, ro/rr))
}
