package explain

import "strings"

// Link is one of a chain of waits, each for the next.
type Link struct {
	// Kind is a value of the kind of a link of perfscope.wait_chain.
	Kind string
	// Function is what waits or computes, Call what it waits in, Thread the name of a
	// thread of others; empty is not known.
	Function, Call, Thread string
}

// chain says who waits for whom; nothing of a wait that is for no thread.
func chain(links []Link) string {
	if len(links) < 2 {
		return ""
	}
	var s strings.Builder
	for i := range links {
		l := &links[i]
		if i == 0 {
			s.WriteString(l.who() + " waits")
			continue
		}
		s.WriteString(" for " + l.who() + l.does())
	}
	return s.String()
}

func (l *Link) who() string {
	switch {
	case l.Function != "":
		return l.Function
	case l.Kind == "process" && l.Thread != "":
		return l.Thread
	case l.Kind == "kernel":
		return "the kernel"
	}
	return "another thread"
}

// does is what a link that is waited for does.
func (l *Link) does() string {
	in := ""
	if l.Call != "" {
		in = " in " + l.Call
	}
	switch l.Kind {
	case "wait":
		return ", which waits" + in
	case "disk", "network":
		return ", which waits" + in + " for the " + l.Kind
	case "timer":
		return ", which sleeps" + in
	case "cpu":
		return ", which computes"
	case "process":
		if l.Function != "" && l.Thread != "" {
			return " of " + l.Thread
		}
		return ", another process"
	case "kernel":
		if l.Thread != "" {
			return " (" + l.Thread + ")"
		}
	}
	return ""
}
