package syscallreceiver

import (
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/perfscope/perfscope/internal/goroutine"
	"github.com/perfscope/perfscope/internal/stack"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

const (
	// followInterval is the time between two looks at the goroutines that are followed:
	// shorter waits, and what is done in between, are seen as one turn.
	followInterval = 10 * time.Millisecond
	// lateAfter is after how long without a look nothing is known of what was between.
	lateAfter = 10 * followInterval
	// maxFollowed bounds the goroutines that are followed at a time; one that has waited
	// for quietAfter makes room for others.
	maxFollowed = 16
	quietAfter  = 10 * time.Second
	// followTurn is for how long those of one process are followed where there are
	// several.
	followTurn = 5 * time.Second
)

// followed is a goroutine that is followed from one wait to the next.
type followed struct {
	goroutine.Goroutine
	role   int32
	number int32
	stack  threadtrace.Stack
	// waits is set while it is in a wait, which it was seen in from since to last. cut is
	// set when that was not seen all the time before; told once it was told of.
	waits, cut, told bool
	since, last      int64
}

// follow begins to follow goroutines that a look has found waiting.
func (n *goroutines) follow(t *target, p *parked, look *goroutine.Look) {
	now := n.g.now()
	var over []*followed
	p.followed = slices.DeleteFunc(p.followed, func(f *followed) bool {
		makesRoom := len(p.followed) == maxFollowed && f.waits && now-f.since > int64(quietAfter)
		if makesRoom {
			over = append(over, f)
		}
		return makesRoom
	})
	for i := range look.Stacks {
		g := &look.Stacks[i]
		if len(p.followed) >= maxFollowed {
			break
		}
		if slices.ContainsFunc(p.followed, func(f *followed) bool { return f.ID == g.ID }) {
			continue
		}
		f := &followed{Goroutine: *g, cut: true, since: now, last: now}
		if n.waitOf(t.pid, p, f) {
			p.followed = append(p.followed, f)
		}
	}
	for _, f := range p.followed {
		if f.waits && !f.told {
			over = append(over, f)
		}
	}
	n.tellOf(t, p, over)
	p.follows.Store(len(p.followed) > 0)
}

// waitOf names the wait that a goroutine is in, false when it is none that is told of.
func (n *goroutines) waitOf(pid int32, p *parked, f *followed) bool {
	creator, st, number, ok := n.place(pid, p, &f.Goroutine)
	f.waits, f.Stack = ok, nil
	if !ok {
		f.SP = 0 // the stack is read again at its next wait, wherever that is
		return false
	}
	f.role, f.number, f.stack = p.role(creator), number, asWritten(st)
	return true
}

// again looks once more at the goroutines of a process that are followed.
func (n *goroutines) again(t *target) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	begun := threadCPUTime()
	defer func() { n.left.Add(-int64(threadCPUTime() - begun)) }()
	p := &t.parked
	if p.table == nil || p.epoch != t.epoch.Load() || len(p.followed) == 0 {
		return
	}
	known := make([]goroutine.Goroutine, len(p.followed))
	for i, f := range p.followed {
		known[i] = f.Goroutine
	}
	before, now := p.read, n.g.now()
	p.read = now
	seen, err := p.table.Again(targetMemory{n.door, t.pid}, known)
	if err != nil {
		p.unfollow()
		return
	}
	var over []*followed
	kept := make([]*followed, 0, len(p.followed))
	for i, f := range p.followed {
		is := &seen[i]
		if is.Waits && is.Turns == f.Turns {
			f.last = now
			kept = append(kept, f)
			continue
		}
		if f.waits {
			was := *f
			was.last = max(was.last, now-int64(followInterval))
			over = append(over, &was)
		}
		if is.Gone {
			continue
		}
		n.moved(t, p, f, is, before)
		kept = append(kept, f)
	}
	p.followed = kept
	n.tellOf(t, p, over)
}

// moved takes that a goroutine has left the wait that it was in, for another one if it
// waits now. At the same depth of its stack that is the same place. Where a look comes late
// it left the one at the latest, and began the other at the earliest, one interval apart
// from the look at which it did not: what it does between two waits is what was seen of it.
func (n *goroutines) moved(t *target, p *parked, f *followed, is *goroutine.Now, before int64) {
	since := p.read
	if !f.waits {
		since = min(since, before+int64(followInterval))
	}
	f.cut = p.read-before > int64(lateAfter) || !f.waits && f.cut
	if f.waits = false; !is.Waits {
		return
	}
	same := is.PC == f.PC && is.SP == f.SP && len(f.stack.Frames) > 0
	f.Goroutine, f.told, f.since, f.last = is.Goroutine, false, since, p.read
	if f.waits = same; !same {
		f.stack = threadtrace.Stack{}
		n.waitOf(t.pid, p, f)
	}
}

// unfollow forgets those that are followed.
func (p *parked) unfollow() {
	p.followed = nil
	p.follows.Store(false)
}

// tellOf adds the waits of single goroutines to what the target's threads did.
func (n *goroutines) tellOf(t *target, p *parked, waits []*followed) {
	if len(waits) == 0 {
		return
	}
	g := n.g
	g.mu.Lock()
	defer g.mu.Unlock()
	if t.ended || t.epoch.Load() != p.epoch {
		return
	}
	for _, f := range waits {
		f.told = true
		th := t.thread(f.role)
		if th.name == "" {
			th.name = roleName(p.nameOf(f.role))
		}
		p.next++
		t.parkedStacks.put(p.next, namedStack{f.stack, framesNative})
		g.add(t, event{t.pid, f.role, threadtrace.Event{
			Kind: threadtrace.KindBlocked, Time: f.last, Elapsed: f.last - f.since, Cut: f.cut,
			Number: f.number, Return: threadtrace.GoroutineID(f.ID), Stack: p.next,
		}})
	}
}

// nameOf is the creator that a role is of, empty for the one of those beyond maxCreators.
func (p *parked) nameOf(role int32) string {
	for creator, id := range p.roles {
		if id == role {
			return creator
		}
	}
	return ""
}

// place names where a goroutine waits and who made it, false where that is not told.
func (n *goroutines) place(pid int32, p *parked, g *goroutine.Goroutine) (creator string, st threadtrace.Stack, number int32, ok bool) {
	creator = n.creator(pid, p, g.Creator)
	if g.ID != mainGoroutine && strings.HasPrefix(creator, "runtime.") {
		return creator, st, 0, false // the runtime's own
	}
	st, err := n.g.symbols.unwind.Unwind(pid, stack.Registers{IP: g.PC, SP: g.SP, BP: g.BP}, stack.Copy{Bytes: g.Stack})
	if err != nil {
		return creator, st, 0, false
	}
	number, ok = goroutine.WaitOf(&st)
	ok = ok && slices.ContainsFunc(st.Frames, func(f threadtrace.Frame) bool { return f.Origin != threadtrace.OriginRuntime })
	return creator, st, number, ok
}
