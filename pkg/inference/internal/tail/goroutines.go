package tail

import (
	"slices"

	"github.com/perfscope/perfscope/internal/frames"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// Goroutines makes requests of what goroutines do between two rests. The goroutines of one
// creator rest where they were seen waiting longest, all of them together; a wait anywhere
// else is a part of a request, and so is what was not seen between two waits. Which thread
// worked for it is not known, as with the spans of a client. It knows maxCreators creators
// and maxFollowed goroutines of each.
type Goroutines struct {
	Stacks *frames.Table

	creators map[int32]*creator
}

// creator is what is known of the goroutines of one creator.
type creator struct {
	rests spots
	// rested is when each was last seen at rest, in nanoseconds since the Unix epoch.
	rested map[int32]int64
}

// maxCreators bounds the creators of goroutines, maxFollowed the goroutines of one.
const maxCreators, maxFollowed = 256, 64

// See takes a wait of a single goroutine. Of a request that was over before it emit gets
// that.
func (g *Goroutines) See(by int32, e *threadtrace.Event, emit func(Request)) {
	c := g.creator(by)
	if c == nil {
		return
	}
	at := spot{number: e.Number, function: -1}
	if f, ok := g.Stacks.Leaf(e.Stack); ok && e.Stack != 0 {
		at.function = f
	}
	c.rests.add(at, 1+e.Elapsed)
	from, id := e.Time-e.Elapsed, e.Return
	rested, known := c.rested[id]
	if e.Cut && from > rested {
		delete(c.rested, id) // what it did before is not known
		known = false
	}
	if !c.rests.is(at) {
		return
	}
	if kind := g.kind(e.Stack); kind != "" && known && from > rested {
		emit(Request{Kind: kind, Start: rested, End: from, Goroutine: true})
	}
	if known || len(c.rested) < maxFollowed {
		c.rested[id] = e.Time
	}
}

// kind is the outermost function of a stack that is not the runtime's, empty without one.
func (g *Goroutines) kind(stack uint32) string {
	for _, f := range slices.Backward(g.Stacks.Get(stack).Frames) {
		if !g.Stacks.IsRuntime(f) {
			return g.Stacks.Function(f).Name
		}
	}
	return ""
}

func (g *Goroutines) creator(id int32) *creator {
	c := g.creators[id]
	if c != nil || len(g.creators) >= maxCreators {
		return c
	}
	if g.creators == nil {
		g.creators = map[int32]*creator{}
	}
	c = &creator{rested: map[int32]int64{}}
	g.creators[id] = c
	return c
}

// Forget drops goroutines that were last seen at rest before an instant.
func (g *Goroutines) Forget(before int64) {
	for _, c := range g.creators {
		for id, at := range c.rested {
			if at < before {
				delete(c.rested, id)
			}
		}
	}
}

// Len is how many goroutines are known.
func (g *Goroutines) Len() (n int) {
	for _, c := range g.creators {
		n += len(c.rested)
	}
	return n
}
