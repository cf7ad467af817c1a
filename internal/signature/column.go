package signature

import "math/bits"

// column has the places of one call in all sequences, side by side: an episode
// is looked for in thousands of sequences, whose own tables lie far apart.
type column struct {
	// held has a bit for each sequence with the call, masks the places in each
	// of these, before how many of these come before each word of held.
	held   []uint64
	masks  []uint64
	before []uint32
}

// add enters a sequence; they must come in order.
func (c *column) add(i int, places uint64) {
	c.held[i/64] |= 1 << (i % 64)
	c.masks = append(c.masks, places)
}

// done is called when all have been entered.
func (c *column) done() {
	c.before = make([]uint32, len(c.held))
	n := 0
	for word, held := range c.held {
		c.before[word] = uint32(n)
		n += bits.OnesCount64(held)
	}
}

// places is those of the call in a sequence that has it.
func (c *column) places(i int) uint64 {
	word, bit := i/64, uint(i%64)
	return c.masks[int(c.before[word])+bits.OnesCount64(c.held[word]&(1<<bit-1))]
}

// columnsOf are those of an episode's calls, by its steps; nil when a call is in no
// sequence.
func (w *mining) columnsOf(ep Episode) []*column {
	columns := make([]*column, len(ep))
	for i := range ep {
		if columns[i] = w.columns[ep[i].Call]; columns[i] == nil {
			return nil
		}
	}
	return columns
}

// holding has a bit for each of 64 sequences that hold all the calls.
func holding(columns []*column, word int) uint64 {
	set := ^uint64(0)
	for _, c := range columns {
		set &= c.held[word]
	}
	return set
}

// endsAt gives the places where an episode ends in a sequence that holds all its
// calls.
func (e Episode) endsAt(columns []*column, i int) uint64 {
	mask := columns[0].places(i)
	for step := 1; step < len(e) && mask != 0; step++ {
		mask = following(mask, columns[step].places(i), e[step].Gap)
	}
	return mask
}
