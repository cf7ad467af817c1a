package tail

import (
	"slices"

	"github.com/perfscope/perfscope/internal/frames"
	"github.com/perfscope/perfscope/internal/unit"
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

// creator is what is known of the goroutines of one creator, which has so many.
type creator struct {
	rests      spots
	of         map[int32]*goroutine
	population int
}

// goroutine is what is known of one: when it was last seen at rest, in nanoseconds since
// the Unix epoch, and where it waited since. A wait that lasts is told of again: the last
// one began at since.
type goroutine struct {
	rested, since int64
	seen          []unit.StackTime
}

// eachLook is the time that a look at a followed goroutine stands for: it is in a wait for
// that beyond the time between the first and the last look that saw it there.
const eachLook = int64(1e7)

// maxCreators bounds the creators of goroutines, maxFollowed the goroutines of one.
const maxCreators, maxFollowed = 256, 64

// Population notes how many goroutines a creator has.
func (g *Goroutines) Population(by int32, n int) {
	if c := g.creator(by); c != nil {
		c.population = n
	}
}

// See takes a wait of a single goroutine. Of a request that was over before it emit gets
// that. Unless it rests it gives how long it waited that was not told before, for all
// goroutines of its creator.
func (g *Goroutines) See(by int32, e *threadtrace.Event, emit func(Request)) (waited int64) {
	c := g.creator(by)
	if c == nil {
		return 0
	}
	at := spot{number: e.Number, function: -1}
	if f, ok := g.Stacks.Leaf(e.Stack); ok && e.Stack != 0 {
		at.function = f
	}
	c.rests.add(at, 1+e.Elapsed)
	from, id := e.Time-e.Elapsed, e.Return
	one := c.of[id]
	if one != nil && e.Cut && from > one.rested {
		delete(c.of, id) // what it did before is not known
		one = nil
	}
	if !c.rests.is(at) {
		if one == nil {
			return 0
		}
		return one.waits(from, e) * int64(max(1, c.population/max(1, len(c.of))))
	}
	if one == nil {
		if len(c.of) < maxFollowed {
			c.of[id] = &goroutine{rested: e.Time}
		}
		return 0
	}
	if kind := g.kind(e.Stack); kind != "" && from > one.rested {
		emit(Request{Kind: kind, Start: one.rested, End: from, Goroutine: true, Seen: slices.Clone(one.seen)})
		one.seen, one.since = one.seen[:0], 0
	}
	one.rested = e.Time
	return 0
}

// waits notes a wait since an instant, and gives how much of it was not told before.
func (one *goroutine) waits(since int64, e *threadtrace.Event) int64 {
	took := e.Elapsed + eachLook
	if n := len(one.seen); n > 0 && one.since == since {
		before := one.seen[n-1].Time
		one.seen[n-1].Time = max(before, took)
		return max(0, took-before)
	}
	one.since = since
	if e.Stack != 0 && len(one.seen) < maxSeen {
		one.seen = append(one.seen, unit.StackTime{Stack: e.Stack, Number: e.Number, Waiting: true, Time: took})
	}
	return took
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
	c = &creator{of: map[int32]*goroutine{}}
	g.creators[id] = c
	return c
}

// Forget drops goroutines that were last seen at rest before an instant.
func (g *Goroutines) Forget(before int64) {
	for _, c := range g.creators {
		for id, one := range c.of {
			if one.rested < before {
				delete(c.of, id)
			}
		}
	}
}

// Len is how many goroutines are known.
func (g *Goroutines) Len() (n int) {
	for _, c := range g.creators {
		n += len(c.of)
	}
	return n
}
