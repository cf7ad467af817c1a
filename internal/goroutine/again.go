package goroutine

// Again reads goroutines anew that a look found waiting, at most MaxStacks of them, and
// returns what they are now, in the same order. Of those that wait in another wait, at
// another depth of their stack, it reads the stack, too. It costs at most three system
// calls.
func (t *Table) Again(mem Memory, known []Goroutine) ([]Now, error) {
	known = known[:min(len(known), MaxStacks)]
	ranges := make([]Range, len(known))
	for i := range known {
		ranges[i] = Range{known[i].at, t.layout.size}
	}
	read, err := mem.Read(ranges)
	if err != nil {
		return nil, err
	}
	out := make([]Now, len(known))
	var moved []Goroutine
	for i := range known {
		g, ok := t.layout.parse(read[i], known[i].at)
		out[i].Gone = !ok || g.ID != known[i].ID || g.status == statusDead
		if out[i].Gone || g.status != statusWaiting {
			continue
		}
		if g.PC == known[i].PC && g.SP == known[i].SP {
			g.Stack = known[i].Stack
			out[i].Goroutine, out[i].Waits = g, true
			continue
		}
		moved = append(moved, g)
	}
	if len(moved) == 0 {
		return out, nil
	}
	moved, err = t.stacks(mem, moved)
	if err != nil {
		return nil, err
	}
	for i := range known {
		for _, g := range moved {
			if g.at == known[i].at {
				out[i].Goroutine, out[i].Waits = g, true
			}
		}
	}
	return out, nil
}

// Now is what a goroutine is at another look.
type Now struct {
	// Goroutine is set when Waits is. Its stack is that of the look before when it waits
	// at the same depth of it: then it is taken to be at the same place.
	Goroutine
	// Waits is set when it waits, Gone when it has ended.
	Waits, Gone bool
}
