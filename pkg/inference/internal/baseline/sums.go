package baseline

import "slices"

// sums adds up the entries of one vector after the other, by ID.
type sums struct {
	byID    []Entry
	known   []bool
	touched []int32
}

// begin makes room for n numbers.
func (s *sums) begin(n int) {
	if more := n - len(s.byID); more > 0 {
		s.byID, s.known = append(s.byID, make([]Entry, more)...), append(s.known, make([]bool, more)...)
	}
}

func (s *sums) set(id int32, e Entry) {
	if !s.known[id] {
		s.known[id] = true
		s.touched = append(s.touched, id)
	}
	e.ID = id
	s.byID[id] = e
}

func (s *sums) add(id int32, e Entry) {
	if !s.known[id] {
		s.set(id, e)
		return
	}
	sum := &s.byID[id]
	sum.Time += e.Time
	sum.Moments |= e.Moments
	sum.Exact = sum.Exact || e.Exact
	sum.Threads += e.Threads
	sum.Longest = max(sum.Longest, e.Longest)
}

// entries returns them, ordered, and begins anew.
func (s *sums) entries() []Entry {
	slices.Sort(s.touched)
	out := make([]Entry, len(s.touched))
	for i, id := range s.touched {
		out[i] = s.byID[id]
		s.known[id] = false
	}
	s.touched = s.touched[:0]
	return out
}
