package explain

import (
	"fmt"
	"strings"
	"time"
)

// Tail is what a sentence about slow requests is made of.
type Tail struct {
	// Kind is the name of the span, or the function of which they are the units.
	Kind string
	// Units is set for execution units.
	Units bool
	// Share of the requests is slow; Slow and Fast are what those and the others take, Served is
	// set when that is without the time in line.
	Share      float64
	Slow, Fast time.Duration
	Served     bool
	// More is set when usually UsualShare is slow; Usual is what slow ones usually take,
	// zero when that has not changed.
	More       bool
	UsualShare float64
	Usual      time.Duration
	// Explained is the share of the extra time that is seen in functions.
	Explained float64
	// Larger is set when slow ones do more of the same.
	Larger           bool
	Function, Module string
	Doing            Doing
	Call, Pattern    string
}

// SlowRequests says what slow requests have that fast ones have not.
func SlowRequests(t *Tail) string {
	what := t.Kind
	if t.Units {
		what = "the work of " + t.Kind
	}
	how := fmt.Sprintf("%s %% of %s take %s instead of %s", figure(100*t.Share), what, short(t.Slow), short(t.Fast))
	if t.Served {
		how += " once it is their turn"
	}
	switch {
	case t.More:
		how += fmt.Sprintf(" (there are more of them: usually %s %%)", figure(100*t.UsualShare))
	case t.Usual > 0:
		how += fmt.Sprintf(" (they take longer: usually %s)", short(t.Usual))
	}
	parts := []string{how}
	if t.Function == "" {
		parts = append(parts, "nothing seen in the process tells them from the fast ones")
		return strings.Join(parts, ": ") + "."
	}
	a := Anomaly{Function: t.Function, Module: t.Module, Doing: t.Doing, Call: t.Call, Pattern: t.Pattern}
	parts = append(parts, a.does())
	end := fmt.Sprintf("; %.0f %% of the extra time is explained", 100*t.Explained)
	if t.Larger {
		end += "; slow ones do the same as fast ones, only more of it"
	}
	return strings.Join(parts, ": ") + end + "."
}

// short is a duration with three digits.
func short(d time.Duration) string {
	for _, unit := range []time.Duration{time.Second, time.Millisecond, time.Microsecond} {
		if d >= unit {
			return d.Round(unit / 100).String()
		}
	}
	return d.String()
}
