// Package explain says an anomaly in one sentence: which service, what got worse
// and since when, the function behind it, what that does, and the call that rose
// most. It takes plain values and knows nothing of how they were found.
package explain

import (
	"fmt"
	"strings"
	"time"
)

// Doing is what the time in excess was spent on.
type Doing string

// What the time in excess can be spent on.
const (
	// Nothing means that no time is in excess: calls are refused.
	Nothing Doing = ""
	OnCPU   Doing = "on_cpu"
	Waiting Doing = "waiting"
)

// Anomaly is what the sentence is made of. What is empty is left out.
type Anomaly struct {
	// Service is the service's name.
	Service string
	// Since is when it began; it is written in its own time zone.
	Since time.Time
	// Share is the part of the service's active time in excess of its past, 0 to
	// 1; of Refused it is the share of such calls that fail.
	Share float64
	// Units is set when there is no past to compare with, and single units of work
	// take far longer than the others.
	Units bool
	// Function and Module are the first suspect; without one no function stands out.
	Function, Module string
	// Doing is what it does, Call the system call that it waits in.
	Doing Doing
	Call  string
	// Pattern is the name of a known pattern.
	Pattern string
	// Refused is the call that newly fails, when no time is lost by it.
	Refused Call
	// Calls are the system calls that changed, in any order.
	Calls []Call
	// After are functions that ran one after the other before the first suspect.
	After []string
	// Causes share the time lost, the largest part first. When the first is not code
	// Function is where it is waited for; without one no function is to blame, and Hit
	// is one that was hit.
	Causes []Cause
	Hit    string
	// Chain is who waits for whom.
	Chain []Link
}

// Call is the use of a system call with one outcome, in calls per second.
type Call struct {
	// Name is the call, Errno the name of the error or empty.
	Name, Errno string
	Past, Now   float64
	// Application is set when a function of the application makes it, and not a
	// runtime or a library of its own accord.
	Application bool
}

// Sentence says it.
func Sentence(a *Anomaly) string {
	parts := []string{a.worse()}
	external := len(a.Causes) > 0 && a.Causes[0].external()
	if external {
		parts[0] += ": " + a.lacks()
	} else {
		parts[0] += ": " + a.does() + a.besides()
	}
	if c, ok := a.rose(); ok && !external {
		parts = append(parts, fmt.Sprintf("%s rose from %s to %s per second", c.named(), figure(c.Past), figure(c.Now)))
	}
	if s := chain(a.Chain); s != "" {
		parts = append(parts, s)
	}
	if len(a.After) > 0 {
		parts = append(parts, "it runs after "+strings.Join(a.After, " and then "))
	}
	return For(a.Service, strings.Join(parts, "; ")+".")
}

// For says of which service a sentence is, if it does not yet.
func For(service, sentence string) string {
	prefix := service + ": "
	if service == "" || strings.HasPrefix(sentence, prefix) {
		return sentence
	}
	return prefix + sentence
}

// worse is what got worse, and since when.
func (a *Anomaly) worse() string {
	since := ""
	if !a.Since.IsZero() {
		since = " since " + a.Since.Format(time.TimeOnly)
	}
	percent := fmt.Sprintf("%.0f %%", 100*a.Share)
	switch {
	case a.Units:
		return fmt.Sprintf("some of its work%s takes far longer than the rest (there is no past yet)", since)
	case a.Refused.Name != "":
		return fmt.Sprintf("%s of its calls of %s fail with %s%s", percent, a.Refused.Name, a.Refused.Errno, since)
	}
	return fmt.Sprintf("%s of its active time%s goes beyond its past", percent, since)
}

// does is who does what.
func (a *Anomaly) does() string {
	verb := patterns[a.Pattern]
	switch {
	case verb != "":
		verb = strings.ReplaceAll(verb, "{call}", a.callOr("a call"))
	case a.Doing == Waiting:
		verb = "waits in " + a.callOr("a call")
	case a.Doing == OnCPU:
		verb = "runs on CPU"
	}
	switch {
	case a.Function == "" && verb == "":
		return "no function stands out"
	case a.Function == "":
		return "no function stands out, it " + verb
	case verb == "":
		return a.name() + " is the first suspect"
	}
	return a.name() + " " + verb
}

func (a *Anomaly) name() string {
	if a.Module == "" {
		return a.Function
	}
	return a.Function + " (" + a.Module + ")"
}

func (a *Anomaly) callOr(other string) string {
	if a.Call != "" {
		return a.Call
	}
	return other
}

// patterns say what a function does that shows a known pattern.
var patterns = map[string]string{
	"descriptor_exhaustion":     "runs out of file descriptors",
	"busy_loop_on_failing_call": "tries a call that fails again and again",
	"poll_without_sleep":        "asks for events again and again without sleeping",
	"lock_wait":                 "waits in {call} for what other threads hold",
	"sync_write_per_operation":  "waits in {call} on every write",
	"sleep_in_request":          "sleeps in {call} amid work",
	"stuck_call":                "stays in {call}, which does not return",
	"blocked_io":                "waits in {call} for a peer or a disk amid work",
	"connection_churn":          "opens and closes connections over and over",
	"tiny_io":                   "makes many small calls where few would do",
	"memory_map_churn":          "maps and unmaps memory over and over",
	"long_computation":          "computes outside of system calls",
	"resource_exhaustion":       "is refused what it needs",
	"peer_unreachable":          "cannot reach a peer",
}

// Over says that an anomaly is over: after a time, with a time lost in seconds;
// end is what ended it, and sentence what was said of it.
func Over(sentence string, after time.Duration, lost float64, end string) string {
	s := fmt.Sprintf("Over after %s", after.Round(time.Second))
	if lost >= leastLost {
		s += fmt.Sprintf(", %s s lost", figure(lost))
	}
	if end != "" {
		s += " (" + end + ")"
	}
	return s + ": " + sentence
}

// leastLost is the time lost, in seconds, that is worth a word.
const leastLost = 0.1

// figure writes a number as a person would say it.
func figure(x float64) string {
	s := fmt.Sprintf("%.1f", x)
	if x >= 10 {
		s = fmt.Sprintf("%.0f", x)
	}
	return strings.TrimSuffix(s, ".0")
}
