package memory

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/perfscope/perfscope/pkg/inference/internal/hop"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// Machine is a hop.Machine.
type Machine struct {
	Seconds float64
	Figures []Figure
	Users   []User
}

// Figure is that of a resource.
type Figure struct {
	Measure threadtrace.Measure
	Name    string
	Value   float64
}

// User is a neighbour and what it used.
type User struct {
	Of    threadtrace.Measure
	Name  string
	PID   int32
	Value float64
}

func saveMachine(m *hop.Machine) Machine {
	out := Machine{Seconds: m.Seconds}
	for _, r := range slices.SortedFunc(maps.Keys(m.Figures), func(a, b hop.Resource) int {
		return cmp.Or(cmp.Compare(a.Measure, b.Measure), cmp.Compare(a.Name, b.Name))
	}) {
		out.Figures = append(out.Figures, Figure{r.Measure, r.Name, m.Figures[r]})
	}
	for _, u := range slices.SortedFunc(maps.Keys(m.Users), func(a, b hop.User) int {
		return cmp.Or(cmp.Compare(a.Of, b.Of), cmp.Compare(a.Name, b.Name), cmp.Compare(a.PID, b.PID))
	}) {
		out.Users = append(out.Users, User{u.Of, u.Name, u.PID, m.Users[u]})
	}
	return out
}

func (m *Machine) restore() hop.Machine {
	out := hop.Machine{Seconds: m.Seconds}
	if m.Seconds == 0 {
		return out
	}
	out.Figures, out.Users = make(map[hop.Resource]float64, len(m.Figures)), make(map[hop.User]float64, len(m.Users))
	for _, f := range m.Figures {
		out.Figures[hop.Resource{Measure: f.Measure, Name: f.Name}] = f.Value
	}
	for _, u := range m.Users {
		out.Users[hop.User{Of: u.Of, Name: u.Name, PID: u.PID}] = u.Value
	}
	return out
}

// check reports the first number that means nothing.
func (m *Machine) check() error {
	figures := []float64{m.Seconds}
	for _, f := range m.Figures {
		figures = append(figures, f.Value)
	}
	for _, u := range m.Users {
		figures = append(figures, u.Value)
	}
	if len(figures) > maxEntries {
		return fmt.Errorf("%w: %d figures of the machine", errNumber, len(figures))
	}
	const most = 1e18
	for _, f := range figures {
		if math.IsNaN(f) || math.Abs(f) > most {
			return fmt.Errorf("%w: %v of the machine", errNumber, f)
		}
	}
	return nil
}
