package hop

import (
	"maps"

	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// Resource is a measure of one resource of the machine.
type Resource struct {
	Measure threadtrace.Measure
	Name    string
}

// maxResources bounds the figures of one hop, maxUsers who is known to use them.
const (
	maxResources = 1024
	maxUsers     = 64
)

// Machine is what the service lacked of the machine in a hop.
type Machine struct {
	// Seconds is how much of the hop is known; zero is nothing.
	Seconds float64
	// Records is into how many records that is cut. What is looked at now and then is looked
	// at once for each.
	Records float64
	// Figures are per second, levels as they are.
	Figures map[Resource]float64
	// Users are who used CPU and disks, in units per second.
	Users map[User]float64
}

// User is a neighbour of the service.
type User struct {
	Of   threadtrace.Measure
	Name string
	PID  int32
}

// Of is the figure of a measure that the service or the host has one of.
func (m *Machine) Of(measure threadtrace.Measure) float64 { return m.Figures[Resource{measure, ""}] }

// Look is what one look stands for at what is looked at once for each record, in
// nanoseconds per second: the length of a record.
func (m *Machine) Look() float64 { return 1e9 / max(1, m.Records) }

// Each calls f with each resource of a measure.
func (m *Machine) Each(measure threadtrace.Measure, f func(name string, v float64)) {
	for r, v := range m.Figures {
		if r.Measure == measure {
			f(r.Name, v)
		}
	}
}

// AddMachine takes what is known of a part of the hop. Of one that reaches over its
// edges that is a part of the figures.
func (h *Open) AddMachine(m *threadtrace.Machine) {
	from, to := max(h.Start, m.Start), min(h.End, m.End)
	if to <= from {
		return
	}
	part := float64(to-from) / float64(m.End-m.Start)
	sum := &h.machine
	sum.Seconds += float64(to-from) / 1e9
	sum.Records += part
	for i := range m.Readings {
		r := &m.Readings[i]
		value := float64(r.Value)
		if !r.Measure.IsLevel() {
			value *= part
		}
		sum.add(Resource{r.Measure, r.Resource}, value)
	}
	for i := range m.Users {
		u := &m.Users[i]
		sum.use(User{u.Of, u.Name, u.PID}, float64(u.Value)*part)
	}
}

// AddSums adds what was summed up of a part of the hop.
func (h *Open) AddSums(m *Machine) {
	h.machine.Seconds += m.Seconds
	h.machine.Records += m.Records
	for r, v := range m.Figures {
		h.machine.add(r, v)
	}
	for u, v := range m.Users {
		h.machine.use(u, v)
	}
}

// add takes a figure into a sum, as far as there is room.
func (m *Machine) add(r Resource, v float64) {
	if m.Figures == nil {
		m.Figures = map[Resource]float64{}
	}
	if _, known := m.Figures[r]; !known && len(m.Figures) >= maxResources {
		return
	}
	if !r.Measure.IsLevel() {
		v += m.Figures[r]
	}
	m.Figures[r] = v
}

// use takes what a neighbour used into a sum, as far as there is room.
func (m *Machine) use(u User, v float64) {
	if m.Users == nil {
		m.Users = map[User]float64{}
	}
	if _, known := m.Users[u]; known || len(m.Users) < maxUsers {
		m.Users[u] += v
	}
}

// perSecond is what was summed up, per second of it.
func (m *Machine) perSecond() Machine {
	if m.Seconds <= 0 {
		return Machine{}
	}
	out := Machine{Seconds: m.Seconds, Records: m.Records, Figures: make(map[Resource]float64, len(m.Figures)), Users: make(map[User]float64, len(m.Users))}
	for r, v := range m.Figures {
		if !r.Measure.IsLevel() {
			v /= m.Seconds
		}
		out.Figures[r] = v
	}
	for u, v := range m.Users {
		out.Users[u] = v / m.Seconds
	}
	return out
}

// mergeMachine is the mean of two, of which the second has the weight w.
func mergeMachine(a, b Machine, w float64) Machine {
	if b.Seconds == 0 || a.Seconds == 0 {
		if a.Seconds == 0 {
			a = b
		}
		return a
	}
	out := Machine{Seconds: a.Seconds + b.Seconds, Records: a.Records + b.Records, Figures: maps.Clone(a.Figures), Users: maps.Clone(a.Users)}
	mean := func(x, y float64) float64 { return x*(1-w) + y*w }
	mix(out.Figures, b.Figures, mean)
	mix(out.Users, b.Users, mean)
	for r, v := range b.Figures {
		if r.Measure.IsLevel() {
			out.Figures[r] = v
		}
	}
	return out
}
