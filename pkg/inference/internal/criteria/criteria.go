// Package criteria has the numbers by which all parts of the judgement alike tell what counts
// from what does not. Those of one part alone are where they are used; docs/inference.md lists
// all of them.
package criteria

const (
	// Little is the share of a whole that counts for nothing, NearlyAll the one from which it
	// counts as all of it.
	Little    = 0.1
	NearlyAll = 1 - Little
	// ManyTimes is how often more a call must be made to be a symptom, and how much longer
	// something takes at the most because others use the machine: half a decimal order, beyond
	// what a doubled load, a changed mix of requests or a shared core brings.
	ManyTimes = 3.0
	// FewSightings are too few to say how something grew: the least that a count must be
	// expected to be for its chance to be known (Cochran, Biometrics 1954).
	FewSightings = 5.0
	// MinPast is the number of hops without which there is no past: the median of six is the
	// first that two odd ones cannot move.
	MinPast = 6
	// PriorHops is how many hops what is known beforehand is worth: a minute.
	PriorHops = 2 * MinPast
	// Repeated is how often something must be seen not to be a hiccup: in so many hops.
	Repeated = 2
	// Matters is the share of a whole from which it matters, Mostly the one from which the rest
	// does not. With so much of the evidence that makes an anomaly a hop is not learned.
	Matters = 0.2
	Mostly  = 1 - Matters
	// CallsTogether is how many calls one connection or request takes before more is known of
	// it: from accept over options and registrations to close, about ten in event loops and
	// runtimes.
	CallsTogether = 10.0
	// StandardErrors is how many of them an estimate may be off by chance.
	StandardErrors = 2.0
	// LeastCPU is the CPU time, in nanoseconds per second, below which nothing matters.
	LeastCPU = 0.02e9
	// Seldom is the rate, per second, below which calls say nothing.
	Seldom = 1.0
)
