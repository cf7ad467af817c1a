package syscallreceiver

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/perfscope/perfscope/internal/goroutine"
	"github.com/perfscope/perfscope/internal/rootfs"
	"github.com/perfscope/perfscope/internal/stack"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

const (
	// goroutineShare is the part of the overhead budget that looks at goroutines
	// may take; beyond it they are further apart.
	goroutineShare = 0.25
	// longestLook is for how many intervals one look may stand.
	longestLook = 10
	// maxCreators bounds the creators of goroutines told apart in one process.
	maxCreators = 256
	// relocateAfter is after how long it is tried again to find the goroutines of a
	// process that has none where they should be; each failure doubles it, up to
	// maxRelocate.
	relocateAfter, maxRelocate = time.Minute, time.Hour
	// mainGoroutine is the identifier of the first one, which nobody made.
	mainGoroutine = 1
)

// goroutines looks at those of Go targets: what waits in a channel or for a mutex
// of Go holds no thread, and the kernel does not know of it.
type goroutines struct {
	g        *gatherer
	door     *rootfs.Door
	logger   *zap.Logger
	interval time.Duration
	// allowance is the CPU time for looks that comes with each interval, left what
	// there is now.
	allowance time.Duration
	left      atomic.Int64
	// turn is the target whose goroutines are followed, until when.
	turn  *target
	until time.Time
}

// parked is what is known of the goroutines of one process. Only one look at a
// time has it.
type parked struct {
	// busy is set while a look waits or is under way.
	busy  atomic.Bool
	epoch uint32
	table *goroutine.Table
	// wait is for how long, until, it is not tried to find them.
	wait  time.Duration
	until time.Time
	last  int64
	// creators are the names of functions by the address behind their go statement,
	// roles the identifiers of creators in place of a thread's, below zero.
	creators map[uint64]string
	roles    map[string]int32
	next     uint32
	// followed are the goroutines that are followed, follows whether there are any, read
	// when they were looked at last.
	followed []*followed
	follows  atomic.Bool
	read     int64
}

func newGoroutines(cfg *Config, g *gatherer, door *rootfs.Door, logger *zap.Logger) *goroutines {
	budget := cfg.OverheadBudget * goroutineShare * float64(runtime.NumCPU())
	return &goroutines{
		g: g, door: door, logger: logger, interval: cfg.Watch.GoroutineInterval,
		allowance: time.Duration(budget * float64(cfg.Watch.GoroutineInterval)),
	}
}

// run looks until the context ends.
func (n *goroutines) run(ctx context.Context) {
	ticker, following := time.NewTicker(n.interval), time.NewTicker(followInterval)
	defer ticker.Stop()
	defer following.Stop()
	awake := true
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			n.tick()
			// Without a Go process it need not wake up a hundred times a second.
			switch follow := n.turn != nil; {
			case follow && !awake:
				following.Reset(followInterval)
			case !follow && awake:
				following.Stop()
			}
			awake = n.turn != nil
		case <-following.C:
			n.followTick()
		}
	}
}

// followTick has the goroutines that are followed looked at again, as long as enough CPU
// time is left for the next look at all.
func (n *goroutines) followTick() {
	if n.turn != nil && n.turn.parked.follows.Load() && n.left.Load() > int64(n.allowance) {
		n.g.symbols.lookAtGoroutines(n.turn, n.again)
	}
}

// takeTurns has the goroutines of each of the targets followed for a while.
func (n *goroutines) takeTurns(targets []*target) {
	at := slices.Index(targets, n.turn)
	switch {
	case len(targets) == 0:
		n.turn = nil
	case at < 0 || len(targets) > 1 && time.Now().After(n.until):
		n.turn, n.until = targets[(at+1)%len(targets)], time.Now().Add(followTurn)
	}
}

// tick has all Go targets looked at that are not being looked at, if there is CPU
// time left for it.
func (n *goroutines) tick() {
	const most = 25 // intervals whose time can be kept
	if n.left.Add(int64(n.allowance)) > most*int64(n.allowance) {
		n.left.Store(most * int64(n.allowance))
	}
	if n.left.Load() <= 0 {
		return
	}
	n.g.mu.Lock()
	var targets []*target
	for _, t := range n.g.targets {
		if t.followed && !t.ended && t.known().Runtime == "go" {
			targets = append(targets, t)
		}
	}
	n.g.mu.Unlock()
	n.takeTurns(targets)
	for _, t := range targets {
		turn := t == n.turn
		n.g.symbols.lookAtGoroutines(t, func(t *target) { n.look(t, turn) })
	}
}

// look is done by a worker that may be held up by this process. turn is set when it is
// the target's turn to have its goroutines followed.
func (n *goroutines) look(t *target, turn bool) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	begun := threadCPUTime()
	defer func() { n.left.Add(-int64(threadCPUTime() - begun)) }()
	p, epoch := &t.parked, t.epoch.Load()
	if p.creators == nil || p.epoch != epoch {
		p.epoch, p.table, p.wait, p.until, p.last = epoch, nil, 0, time.Time{}, 0
		p.creators, p.roles = map[uint64]string{}, map[string]int32{}
		p.unfollow()
	}
	if !turn {
		p.unfollow()
	}
	mem := targetMemory{n.door, t.pid}
	if p.table == nil {
		if time.Now().Before(p.until) {
			return
		}
		table, err := n.locate(mem)
		if err != nil {
			p.wait = min(max(2*p.wait, relocateAfter), maxRelocate)
			p.until = time.Now().Add(p.wait)
			n.g.stats.goroutineLook(lookUnlocated)
			n.logger.Info("The goroutines of a Go process are not seen: what waits in its channels and mutexes is not reported.",
				zap.Int32("pid", t.pid), zap.Error(err), zap.Duration("tried_again_in", p.wait))
			return
		}
		p.table = table
	}
	look, err := p.table.Look(mem, rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))) //nolint:gosec // a sample
	if err != nil {
		if errors.Is(err, goroutine.ErrNotFound) {
			p.table = nil
			p.unfollow()
		}
		n.g.stats.goroutineLook(lookFailed)
		return
	}
	n.g.stats.goroutineLook(lookDone)
	n.tell(t, p, n.waitsIn(t.pid, p, look))
	if turn {
		n.follow(t, p, look)
	}
}

// locate finds the goroutines of a process.
func (n *goroutines) locate(mem targetMemory) (*goroutine.Table, error) {
	fn, err := n.g.symbols.unwind.GoFunction(mem.pid, goroutine.Adder)
	if err != nil {
		return nil, err
	}
	code, err := mem.Read([]goroutine.Range{{Addr: fn.Start, Size: int(min(fn.End-fn.Start, goroutine.MaxCode))}}) //nolint:gosec // bounded
	if err != nil {
		return nil, err
	}
	return goroutine.Locate(mem, fn.Version, n.g.arch, code[0], fn.Start)
}

// goroutineWait is where goroutines of one creator wait, summed up.
type goroutineWait struct {
	creator string
	stack   threadtrace.Stack
	number  int32
	// count is how many there are, population how many its creator has, by what the
	// sample says; longest is the longest wait known, in nanoseconds.
	count, population float64
	longest           int64
}

// waitsIn names and sums up what a look has seen.
func (n *goroutines) waitsIn(pid int32, p *parked, look *goroutine.Look) []*goroutineWait {
	sampled, population := map[uint64]float64{}, map[string]float64{}
	for i := range look.Stacks {
		sampled[look.Stacks[i].Creator]++
	}
	for creator := range sampled {
		population[n.creator(pid, p, creator)] += float64(look.Waiting[creator]) * look.Scale()
	}
	type place struct {
		creator string
		number  int32
		frame   *threadtrace.Frame
	}
	var out []*goroutineWait
	places := map[place]*goroutineWait{}
	now := monotonic()
	for i := range look.Stacks {
		g := &look.Stacks[i]
		creator, st, number, ok := n.place(pid, p, g)
		if !ok {
			continue
		}
		at := place{creator, number, &st.Frames[0]} // the unwinder gives the same frames again
		w := places[at]
		if w == nil {
			w = &goroutineWait{creator: creator, stack: asWritten(st), number: number, population: population[creator]}
			places[at] = w
			out = append(out, w)
		}
		w.count += float64(look.Waiting[g.Creator]) * look.Scale() / sampled[g.Creator]
		if g.Since > 0 && g.Since < now {
			w.longest = max(w.longest, now-g.Since)
		}
	}
	return out
}

// asWritten has the functions that the compiler inlined be functions: of a wait, Go's
// own table says for certain in which of them it is, as its own traces do.
func asWritten(st threadtrace.Stack) threadtrace.Stack {
	if !slices.ContainsFunc(st.Frames, func(f threadtrace.Frame) bool { return f.Inlined }) {
		return st
	}
	st.Frames = slices.Clone(st.Frames) // they are the unwinder's
	for i := range st.Frames {
		st.Frames[i].Inlined = false
	}
	return st
}

// creator names the function whose go statement is before an address.
func (n *goroutines) creator(pid int32, p *parked, addr uint64) string {
	if name, ok := p.creators[addr]; ok {
		return name
	}
	name := ""
	if st, err := n.g.symbols.unwind.Unwind(pid, stack.Registers{IP: addr - 1}, stack.Copy{}); err == nil && len(st.Frames) > 0 {
		name = st.Frames[0].Function
	}
	if len(p.creators) < maxCreators {
		p.creators[addr] = name
	}
	return name
}

// tell adds the waits that a look has seen to what the target's threads did.
func (n *goroutines) tell(t *target, p *parked, waits []*goroutineWait) {
	g := n.g
	g.mu.Lock()
	defer g.mu.Unlock()
	if t.ended || t.epoch.Load() != p.epoch {
		return
	}
	now := g.now()
	// A look stands for the time since the one before.
	period := int64(n.interval)
	if p.last != 0 {
		period = min(max(now-p.last, 0), longestLook*period)
	}
	p.last = now
	for _, w := range waits {
		role := p.role(w.creator)
		th := t.thread(role)
		if th.name == "" {
			th.name = roleName(w.creator)
		}
		p.next++
		t.parkedStacks.put(p.next, namedStack{w.stack, framesNative})
		g.add(t, event{t.pid, role, threadtrace.Event{
			Kind: threadtrace.KindBlocked, Time: now, Duration: int64(w.count * float64(period)), Elapsed: w.longest,
			Number: w.number, Stack: p.next, Population: uint16(min(math.Round(w.population), math.MaxUint16)),
		}})
	}
}

// role is the identifier of a creator; those beyond maxCreators have one together.
func (p *parked) role(creator string) int32 {
	id, ok := p.roles[creator]
	if !ok {
		id = -1 - int32(min(len(p.roles), maxCreators)) //nolint:gosec // bounded
		if len(p.roles) < maxCreators {
			p.roles[creator] = id
		}
	}
	return id
}

func roleName(creator string) string {
	switch {
	case creator == "":
		return "goroutines"
	case strings.HasPrefix(creator, "runtime."):
		return "main goroutine"
	}
	return "goroutines of " + creator
}

// targetMemory is the memory of a target.
type targetMemory struct {
	door *rootfs.Door
	pid  int32
}

var _ goroutine.Memory = targetMemory{}

// Read reads pieces of it.
func (m targetMemory) Read(ranges []goroutine.Range) ([][]byte, error) {
	all := make([]rootfs.Range, len(ranges))
	for i, r := range ranges {
		all[i] = rootfs.Range(r)
	}
	return m.door.ReadRanges(m.pid, all)
}
