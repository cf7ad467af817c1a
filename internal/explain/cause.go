package explain

import (
	"fmt"
	"net/netip"
	"strings"
)

// Cause is a part of the time lost.
type Cause struct {
	// Kind is a value of perfscope.cause.kind, Share the part, 0 to 1.
	Kind  string
	Share float64
	// Resource is what is lacking, Users who uses it.
	Resource string
	Users    []string
}

// external reports whether it is not the service's own.
func (c *Cause) external() bool { return c.Kind != "code" && c.Kind != "unknown" }

// lacks is what the service lost its time to.
func (a *Anomaly) lacks() string {
	s := a.Causes[0].says()
	for i := range a.Causes[1:] {
		if c := &a.Causes[1+i]; c.external() {
			s += fmt.Sprintf(", and for %.0f %% of it %s", 100*c.Share, c.says())
		}
	}
	unanswered := a.Causes[0].Kind == "unanswered"
	switch {
	case a.Function != "" && unanswered:
		return s + "; what it does no more is the work of " + a.name() + " first of all"
	case a.Function != "":
		return s + "; " + a.does()
	case unanswered:
		return s + "; no function of it is seen at work"
	case a.Hit == "":
		return s + "; no function of it is to blame"
	}
	return s + "; no function of it is to blame, " + a.Hit + " was hit"
}

// besides is what else than a function it lost time to.
func (a *Anomaly) besides() (s string) {
	for i := range a.Causes {
		c := &a.Causes[i]
		switch {
		case !c.external():
		case a.Refused.Name != "": // the share is one of time, not of calls
			s += ", and " + c.says()
		default:
			s += fmt.Sprintf(", and for %.0f %% of it %s", 100*c.Share, c.says())
		}
	}
	return s
}

func (c *Cause) says() string {
	of := func(what string) string {
		if c.Resource == "" {
			return what
		}
		return what + " of " + c.Resource
	}
	by := ""
	if len(c.Users) > 0 {
		by = " (" + strings.Join(c.Users, ", ") + ")"
	}
	switch c.Kind {
	case "cpu_quota":
		return of("the CPU quota") + " is used up"
	case "cpu_contention":
		if c.Resource != "" {
			return "the " + c.Resource + " gives its CPU time to others"
		}
		return "others have the CPUs it could run on" + by
	case "memory":
		return of("the memory") + " is short"
	case "disk":
		return "the disk " + c.Resource + " takes longer" + by
	case "network":
		return "the network to " + c.Resource + " takes longer"
	case "peer":
		if at, err := netip.ParseAddrPort(c.Resource); err == nil && !at.Addr().IsLoopback() {
			return "its peer " + c.Resource + ", or the network to it, takes longer"
		}
		return "its peer " + c.Resource + " takes longer"
	case "stopped":
		return "it is stopped, by a signal, a debugger or the freezer"
	case "unanswered":
		return "clients at port " + c.Resource + " wait for answers that nothing of it works on, as when a pool has run dry or a reply is forgotten"
	}
	return "the cause is not known"
}

// victimsWord begins the part of a sentence about other services.
const victimsWord = "; it hits others, too: "

// Victims says in a sentence which other services lack the same, in place of those it
// says already.
func Victims(sentence string, names []string) string {
	sentence, _, said := strings.Cut(sentence, victimsWord)
	if said {
		sentence += "."
	}
	if len(names) == 0 {
		return sentence
	}
	return strings.TrimSuffix(sentence, ".") + victimsWord + strings.Join(names, ", ") + "."
}
