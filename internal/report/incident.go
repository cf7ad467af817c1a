package report

import "time"

// Incident is what a gateway says of services that are abnormal for one reason.
type Incident struct {
	ID, State, Sentence string
	Start, End          time.Time
	Traces              int64
	Trace               string
	Causes              []Cause
}

// Cause is one function of one service that may be to blame, or a victim.
type Cause struct {
	Service, Function, Module, Role, Pattern, Anomaly string
	Score                                             float64
	Instances                                         int64
}
