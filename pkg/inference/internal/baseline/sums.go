package baseline

import "math/bits"

// sums adds up the entries of one vector after the other, by ID.
type sums struct {
	times  []float64
	waited []Waited
	// known has a bit for each ID that is in the vector, waits for those that wait: to go
	// through them is to have the entries in order.
	known, waits   []uint64
	count, waiting int
}

// begin makes room for n numbers.
func (s *sums) begin(n int) {
	if more := n - len(s.times); more > 0 {
		s.times, s.waited = append(s.times, make([]float64, more)...), append(s.waited, make([]Waited, more)...)
		words := make([]uint64, (n+63)/64-len(s.known))
		s.known, s.waits = append(s.known, words...), append(s.waits, words...)
	}
}

// set replaces the time of a number.
func (s *sums) set(id int32, time float64) {
	s.times[id] = 0
	s.add(id, time)
}

func (s *sums) add(id int32, time float64) {
	word, bit := id/64, uint64(1)<<(id%64)
	if s.known[word]&bit == 0 {
		s.known[word] |= bit
		s.count++
		s.times[id] = 0
	}
	s.times[id] += time
}

func (s *sums) addWait(id int32, time float64, w Waited) {
	s.add(id, time)
	word, bit := id/64, uint64(1)<<(id%64)
	if s.waits[word]&bit == 0 {
		s.waits[word] |= bit
		s.waiting++
		s.waited[id] = Waited{}
	}
	sum := &s.waited[id]
	sum.Moments |= w.Moments
	sum.Exact = sum.Exact || w.Exact
	sum.Threads += w.Threads
	sum.Longest = max(sum.Longest, w.Longest)
}

// vector returns them, ordered, and begins anew.
func (s *sums) vector() *Vector {
	words := len(s.known)
	v := &Vector{Load: 1, cells: make(cellSet, words), times: make([]float64, 0, s.count), waiting: make(cellSet, words), waits: make([]Waited, 0, s.waiting)}
	for word, left := range s.known {
		waits := s.waits[word]
		v.cells[word], v.waiting[word] = block{left, len(v.times)}, block{waits, len(v.waits)}
		for ; left != 0; left &= left - 1 {
			at := bits.TrailingZeros64(left)
			v.times = append(v.times, s.times[64*word+at])
			if waits>>at&1 != 0 {
				v.waits = append(v.waits, s.waited[64*word+at])
			}
		}
		s.known[word], s.waits[word] = 0, 0
	}
	s.count, s.waiting = 0, 0
	return v
}
