package evidence

import (
	"fmt"
	"hash/fnv"
	"strings"
	"time"
)

// State is how far a service is known.
type State string

// The states of a service.
const (
	// Found means that it is watched, and nothing was concluded yet.
	Found State = "found"
	// Learning means that there is no past yet to compare with.
	Learning State = "learning"
	// Judged means that each hop is compared with the past.
	Judged State = "judged"
	// Blind means that it cannot be judged, for the reason in Why.
	Blind State = "cannot be judged"
)

// Service is one service instance as a line in a list.
type Service struct {
	// ID names it in addresses; see ID.
	ID       string `json:"id"`
	Name     string `json:"name"`
	Instance string `json:"instance,omitempty"`
	Host     string `json:"host,omitempty"`
	PID      int64  `json:"pid,omitempty"`
	// Executable is its program, Build the program's build id.
	Executable string `json:"executable,omitempty"`
	Build      string `json:"build,omitempty"`
	State      State  `json:"state"`
	Why        string `json:"why,omitempty"`
	// Since is when it was found, in the time of its events.
	Since time.Time `json:"since"`
	// Hops are the last ones, the oldest first.
	Hops []Hop `json:"hops"`
	// Anomalies are those that are open and the last that are over, the newest first.
	Anomalies []Anomaly `json:"anomalies"`
	// SlowRequests are the kinds of its requests of which some are slow.
	SlowRequests []SlowKind `json:"slow_requests,omitempty"`
}

// Open is the anomaly that is not over, nil when there is none.
func (s *Service) Open() *Anomaly {
	for i := range s.Anomalies {
		if s.Anomalies[i].Ongoing() {
			return &s.Anomalies[i]
		}
	}
	return nil
}

// Last is the newest hop, nil when there is none.
func (s *Service) Last() *Hop {
	if len(s.Hops) == 0 {
		return nil
	}
	return &s.Hops[len(s.Hops)-1]
}

// Hop is what one hop said of a service as a whole.
type Hop struct {
	// Start is in milliseconds since the Unix epoch, Seconds how long it is.
	Start   int64   `json:"start"`
	Seconds float64 `json:"seconds"`
	// Judged is set when there was a past, Abnormal when it is part of an anomaly.
	Judged   bool `json:"judged,omitempty"`
	Abnormal bool `json:"abnormal,omitempty"`
	// Score is the effect, 1 is what matters; Confidence the evidence; Load the work
	// relative to the usual.
	Score      float64 `json:"score"`
	Confidence float64 `json:"confidence"`
	Load       float64 `json:"load"`
	// CPU and Waiting are in seconds per second.
	CPU     float64 `json:"cpu"`
	Waiting float64 `json:"waiting"`
	// Traced is the share of the time in which calls were recorded, Lost that of these
	// calls which were lost.
	Traced float64 `json:"traced"`
	Lost   float64 `json:"lost"`
	// Spans is how many spans of the service ended in the hop, Median and P95 how long
	// they took in seconds.
	Spans  int     `json:"spans,omitempty"`
	Median float64 `json:"median,omitempty"`
	P95    float64 `json:"p95,omitempty"`
}

// End is when the hop ended.
func (h *Hop) End() time.Time {
	return time.UnixMilli(h.Start + int64(h.Seconds*1e3)).UTC()
}

// Anomaly is what was last reported of one.
type Anomaly struct {
	ID    string `json:"id"`
	State string `json:"state"`
	// Sentence says it to a person.
	Sentence string    `json:"sentence"`
	Onset    time.Time `json:"onset"`
	// End is when it was over, or the end of its last hop so far; Ending why it is over.
	End        time.Time `json:"end"`
	Ending     string    `json:"ending,omitempty"`
	Kind       string    `json:"kind"`
	Pattern    string    `json:"pattern,omitempty"`
	Score      float64   `json:"score"`
	Confidence float64   `json:"confidence"`
	Impact     float64   `json:"impact"`
	Lost       float64   `json:"lost"`
	Warmup     bool      `json:"warmup,omitempty"`
	// Causes share the time lost, the largest part first; Hit are the functions that
	// were hit when none is to blame.
	Causes []Cause  `json:"causes,omitempty"`
	Hit    []string `json:"hit,omitempty"`
	// Victims are other services of the host that lack the same.
	Victims []string `json:"victims,omitempty"`
	// Seen is how often the service was in this state, this time among them, FirstSeen
	// when it was first; zero when it was not before.
	Seen       int         `json:"seen,omitempty"`
	FirstSeen  time.Time   `json:"first_seen,omitzero"`
	Suspects   []Suspect   `json:"suspects"`
	Path       []string    `json:"path,omitempty"`
	Order      []string    `json:"order,omitempty"`
	Deviations []Deviation `json:"deviations,omitempty"`
	// URL is where it can be seen; empty when it cannot.
	URL string `json:"url,omitempty"`
}

// Ongoing reports whether it is not over.
func (a *Anomaly) Ongoing() bool { return a.State != "cleared" }

// Duration is for how long it lasts, or lasted.
func (a *Anomaly) Duration() time.Duration { return a.End.Sub(a.Onset) }

// Cause is a part of the time that an anomaly costs.
type Cause struct {
	// Kind is code, cpu_quota, cpu_contention, memory, disk, network, peer, stopped,
	// unanswered or unknown; Share the part, 0 to 1.
	Kind  string  `json:"kind"`
	Share float64 `json:"share"`
	// Resource is the control group, the device or the peer's address.
	Resource string `json:"resource,omitempty"`
	// Users are who uses it.
	Users []string `json:"users,omitempty"`
}

// Suspect is a ranked function.
type Suspect struct {
	Function string   `json:"function"`
	Module   string   `json:"module,omitempty"`
	File     string   `json:"file,omitempty"`
	Line     int32    `json:"line,omitempty"`
	Score    float64  `json:"score"`
	Evidence []string `json:"evidence,omitempty"`
}

// Deviation is a system call whose use left its past.
type Deviation struct {
	Call   string `json:"call"`
	Error  string `json:"error,omitempty"`
	Normal Use    `json:"normal"`
	Now    Use    `json:"now"`
}

// Use is how a system call is used: calls per second, seconds in each.
type Use struct {
	Rate float64 `json:"rate"`
	Mean float64 `json:"mean"`
}

// Mark is something that happened to a service.
type Mark struct {
	At   time.Time `json:"at"`
	Text string    `json:"text"`
}

// Span names a span that a service had part in.
type Span struct {
	Trace    string    `json:"trace"`
	ID       string    `json:"id"`
	Name     string    `json:"name"`
	At       time.Time `json:"at"`
	Seconds  float64   `json:"seconds"`
	Abnormal bool      `json:"abnormal"`
}

// Watch is how a receiver fares.
type Watch struct {
	Mode string `json:"mode"`
	// Rules are those that choose what is watched.
	Rules []Rule `json:"rules"`
	// Budget is the share of the host's CPU time that recording may cost, Cost what it
	// costs, Traced the share of the time in which calls are recorded. Zero when there
	// is no budget.
	Budget float64 `json:"budget,omitempty"`
	Cost   float64 `json:"cost,omitempty"`
	Traced float64 `json:"traced"`
	// Trouble is what part of the watch the host denies; empty when none.
	Trouble string `json:"trouble,omitempty"`
}

// Rule is one rule of targets and how many processes it chooses.
type Rule struct {
	Text    string `json:"text"`
	Matches int    `json:"matches"`
}

// longInstance is from which length on an instance's name tells it from all others.
const longInstance = 16

// ID makes the name of a service instance in addresses: its service.instance.id where
// that can be one and is surely unique, else the service's name with a sum of all that
// tells it from others.
func ID(name, instance, key string) string {
	if len(instance) >= longInstance && len(instance) <= 64 && strings.IndexFunc(instance, unsafe) < 0 {
		return instance
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(key)) // never fails
	short := strings.Map(func(r rune) rune {
		if unsafe(r) {
			return '-'
		}
		return r
	}, name)
	return fmt.Sprintf("%s-%012x", short[:min(40, len(short))], h.Sum64()>>16)
}

// unsafe reports whether a character means something in an address.
func unsafe(r rune) bool {
	switch {
	case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_', r == '.':
		return false
	}
	return true
}
