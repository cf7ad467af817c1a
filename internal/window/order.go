package window

import (
	"slices"

	"github.com/perfscope/perfscope/internal/suspect"
)

const (
	// maxOrder bounds the functions that are remembered of one unit: the last
	// ones, which led into what comes.
	maxOrder = 6
	// maxOrders bounds the distinct orders of one hop.
	maxOrders = 1024
)

// order is the functions that signatures told one after the other in a unit, by
// their stacks; zeros are at the end.
type order [maxOrder]uint32

// then is the order with one more; false when that is where it is already.
func (o order) then(stack uint32) (order, bool) {
	n := 0
	for n < maxOrder && o[n] != 0 {
		n++
	}
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

// follow notes that a signature told a stack at a call of a thread.
func (h *hop) follow(th *thread, stack uint32) {
	next, moved := th.order.then(stack)
	if !moved {
		return
	}
	th.order = next
	if _, known := h.orders[next]; known || len(h.orders) < maxOrders {
		if h.orders == nil {
			h.orders = map[order]uint32{}
		}
		h.orders[next]++
	}
}

// orderTo is the functions that ran one after the other before a suspect, the
// earliest first and the suspect last, as they did most often in a hop; empty
// when signatures do not tell it, or nothing before it.
func (s *Service) orderTo(c *closedHop, to suspect.Suspect) []string {
	var best order
	most := uint32(0)
	for o, n := range c.orders {
		last := slices.Index(o[:], 0)
		if last < 0 {
			last = maxOrder
		}
		if n < most || n == most && slices.Compare(o[:], best[:]) >= 0 || !s.holds(o[last-1], to) {
			continue
		}
		best, most = o, n
	}
	var names []string
	for i, stack := range best {
		if stack == 0 {
			break
		}
		name := s.nameOf(stack)
		if i+1 == maxOrder || best[i+1] == 0 {
			name = to.Function
		}
		if len(names) == 0 || names[len(names)-1] != name {
			names = append(names, name)
		}
	}
	if len(names) < 2 {
		return nil
	}
	return names
}

func (s *Service) holds(stack uint32, fn suspect.Suspect) bool {
	return slices.ContainsFunc(s.stacks.Get(stack).Frames, func(f int32) bool {
		is := s.stacks.Function(f)
		return is.Name == fn.Function && is.Module == fn.Module
	})
}

// nameOf is the innermost function of a stack that has a name, else the
// innermost.
func (s *Service) nameOf(stack uint32) string {
	frames := s.stacks.Get(stack).Frames
	for _, f := range frames {
		if fn := s.stacks.Function(f); !fn.Nameless() {
			return fn.Name
		}
	}
	return s.stacks.Function(frames[0]).Name
}
