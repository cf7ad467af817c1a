package hop

const (
	// maxOrder bounds the functions that are remembered of one unit: the last
	// ones, which led into what comes.
	maxOrder = 6
	// maxOrders bounds the distinct orders of one hop.
	maxOrders = 1024
)

// Order is the functions that signatures told one after the other in a unit, by
// their stacks; zeros are at the end.
type Order [maxOrder]uint32

// Then is the order with one more; false when that is where it is already.
func (o Order) Then(stack uint32) (Order, bool) {
	n := o.Len()
	switch {
	case n > 0 && o[n-1] == stack:
		return o, false
	case n == maxOrder:
		copy(o[:], o[1:])
		n--
	}
	o[n] = stack
	return o, true
}

// Len is the number of functions.
func (o Order) Len() int {
	n := 0
	for n < maxOrder && o[n] != 0 {
		n++
	}
	return n
}

// Follow notes that a signature told a stack after others, and returns the order
// that there is then.
func (h *Open) Follow(before Order, stack uint32) Order {
	next, moved := before.Then(stack)
	if !moved {
		return before
	}
	if _, known := h.Orders[next]; known || len(h.Orders) < maxOrders {
		h.Orders[next]++
	}
	return next
}
