package profile

import "time"

// Process is who a process is, as its telemetry says. What is not known is zero.
type Process struct {
	PID     int64
	Created time.Time
	// Executable is the path of the program.
	Executable string
	Container  string
	Service    string
	// Host is the host's id, or its name.
	Host string
}

// clockTick is how far two readings of one process's start may be apart: the kernel
// counts in ticks, and who reads knows the boot time to about as much.
const clockTick = time.Second

// Same reports whether two sources mean one process: by its pid, unless the time of its
// creation, its program, its container or its host say otherwise, if something beside
// the number agrees; else by container and service, as a source in a container counts
// pids of its own.
func (p *Process) Same(o *Process) bool {
	if differ(p.Host, o.Host) || differ(p.Container, o.Container) {
		return false
	}
	if p.PID != 0 && p.PID == o.PID {
		if !p.Created.IsZero() && !o.Created.IsZero() {
			return p.Created.Sub(o.Created).Abs() <= clockTick
		}
		return !differ(p.Executable, o.Executable) &&
			(agree(p.Executable, o.Executable) || agree(p.Container, o.Container) || agree(p.Host, o.Host) || agree(p.Service, o.Service))
	}
	return agree(p.Container, o.Container) && !differ(p.Service, o.Service) && (p.PID == 0 || o.PID == 0 || agree(p.Service, o.Service))
}

func differ(a, b string) bool { return a != "" && b != "" && a != b }
func agree(a, b string) bool  { return a != "" && a == b }

// Watched are the processes that services are made of, by which profiles find theirs.
// It is not changed once it is built, and safe for concurrent use then.
type Watched struct {
	byPID       map[int64][]watched
	byContainer map[string][]watched
}

type watched struct {
	process Process
	service string
}

// Add enters a process of a service, which is given by a key.
func (w *Watched) Add(service string, p Process) {
	if w.byPID == nil {
		w.byPID, w.byContainer = map[int64][]watched{}, map[string][]watched{}
	}
	if p.PID != 0 {
		w.byPID[p.PID] = append(w.byPID[p.PID], watched{p, service})
	}
	if p.Container != "" {
		w.byContainer[p.Container] = append(w.byContainer[p.Container], watched{p, service})
	}
}

// Service is the key of the service that a process belongs to; false when it is of
// none, or may be of more than one.
func (w *Watched) Service(p *Process) (string, bool) {
	if w == nil {
		return "", false
	}
	for _, among := range [][]watched{w.byPID[p.PID], w.byContainer[p.Container]} {
		found := ""
		for i := range among {
			a := &among[i]
			switch {
			case !a.process.Same(p):
			case found != "" && found != a.service:
				return "", false
			default:
				found = a.service
			}
		}
		if found != "" {
			return found, true
		}
	}
	return "", false
}
