package syscallreceiver

import "github.com/perfscope/perfscope/pkg/threadtrace"

// maxPendingWakings bounds the wakings held between two flushes, 80 bytes each.
const maxPendingWakings = 16384

// waking is the end of a wait before its stacks are known: Stack and WakerStack are the
// ids of raw stacks.
type waking struct {
	threadtrace.Waking
	// by is the process of the waker if it is followed.
	by *target
	// held is set once it was left for the next flush.
	held bool
}

// waking takes the end of a wait of a thread.
func (g *gatherer) waking(pid, tid int32, w threadtrace.Waking) {
	if g.wakings >= maxPendingWakings {
		g.stats.dropped[dropWakings]++
		return
	}
	t := g.owner(pid, w.Time)
	kept := waking{Waking: w}
	if w.By == threadtrace.WakerThread && w.WakerStack != 0 {
		if g.targets[w.Process] != nil {
			kept.by = g.owner(w.Process, w.Time)
		}
	}
	th := t.thread(tid)
	th.wakings = append(th.wakings, kept)
	th.idle = 0
	g.wakings++
}

// takeWakings takes those of a thread out of it. Of the last one the thread may be in
// the call yet, whose stack comes when it returns.
func (g *gatherer) takeWakings(th *thread) []waking {
	n := len(th.wakings)
	if n == 0 {
		return nil
	}
	last := &th.wakings[n-1]
	if !g.closing && !th.ended && len(th.events) > 0 && th.events[len(th.events)-1].End() < last.Time && !last.held {
		last.held = true
		n--
	}
	taken := th.wakings[:n:n]
	th.wakings = append([]waking(nil), th.wakings[n:]...)
	g.wakings -= n
	return taken
}

// addWakings gives a batch the wakings of its thread, with their stacks numbered.
func (th *threadLoad) addWakings(b *threadtrace.Batch, named *namedStacks, dedup *stackIndex) {
	if len(b.Stacks) == 0 {
		dedup.reset()
	}
	number := func(id uint32, in *namedStacks) uint32 {
		if id == 0 {
			return 0
		}
		if n, ok := dedup.byID[id]; ok {
			return n
		}
		if got, ok := in.get(id); ok && len(got.Frames) > 0 {
			return dedup.index(id, got.Stack, b)
		}
		return 0
	}
	for i := range th.wakings {
		w := th.wakings[i]
		w.Stack = number(w.Stack, named)
		if w.by != nil {
			w.WakerStack = number(w.WakerStack, &w.by.named)
		} else {
			w.WakerStack = 0
		}
		b.Wakings = append(b.Wakings, w.Waking)
	}
}
