package inference

import (
	"github.com/perfscope/perfscope/pkg/inference/internal/baseline"
	"github.com/perfscope/perfscope/pkg/inference/internal/hop"
)

// learnedVectors keeps the vectors of the hops of the past: they differ from one hop to the
// next only where a place became one where threads idle, or is none any more.
type learnedVectors struct {
	byHop map[*hop.Closed]*baseline.Vector
	// idle says of each place of the past hops how it was taken in the vectors.
	idle map[hop.Place]bool
}

// of returns those of some of the hops that are remembered. Callers may set their
// loads.
func (l *learnedVectors) of(hops, remembered []*hop.Closed, views *baseline.Views) []*baseline.Vector {
	changed := l.look(remembered, views.Idle)
	kept := make(map[*hop.Closed]*baseline.Vector, len(remembered))
	for _, h := range remembered {
		if v := l.byHop[h]; v != nil && !waitsAt(h, changed) {
			kept[h] = v
		}
	}
	vectors, list := make([]baseline.Vector, len(hops)), make([]*baseline.Vector, len(hops))
	for i, h := range hops {
		v := kept[h]
		if v == nil {
			v = views.Of(h, true).Learned()
			kept[h] = v
		}
		vectors[i] = *v
		vectors[i].Load = 1
		list[i] = &vectors[i]
	}
	l.byHop = kept
	return list
}

// keep adds the vector of a hop that is learned, in which threads idle at the places
// given.
func (l *learnedVectors) keep(v *baseline.Vector, idle func(hop.Place) bool) {
	if l.byHop == nil {
		l.byHop, l.idle = map[*hop.Closed]*baseline.Vector{}, map[hop.Place]bool{}
	}
	for _, waits := range []map[hop.Place]hop.Wait{v.Hop.Wait, v.Hop.Fresh} {
		for at := range waits {
			if _, ok := l.idle[at]; !ok {
				l.idle[at] = idle(at)
			}
		}
	}
	l.byHop[v.Hop] = v.Learned()
}

// look takes down where threads idle now, and returns the places where that changed.
func (l *learnedVectors) look(remembered []*hop.Closed, idle func(hop.Place) bool) (changed []hop.Place) {
	now := make(map[hop.Place]bool, len(l.idle))
	for _, h := range remembered {
		for _, waits := range []map[hop.Place]hop.Wait{h.Wait, h.Fresh} {
			for at := range waits {
				if _, ok := now[at]; ok {
					continue
				}
				is := idle(at)
				now[at] = is
				if was, ok := l.idle[at]; ok && was != is {
					changed = append(changed, at)
				}
			}
		}
	}
	l.idle = now
	return changed
}

func waitsAt(h *hop.Closed, places []hop.Place) bool {
	for _, at := range places {
		_, waits := h.Wait[at]
		_, fresh := h.Fresh[at]
		if waits || fresh {
			return true
		}
	}
	return false
}
