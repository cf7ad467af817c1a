package inference

import (
	"slices"
	"time"

	"github.com/perfscope/perfscope/internal/frames"
	"github.com/perfscope/perfscope/pkg/inference/internal/detect"
	"github.com/perfscope/perfscope/pkg/inference/internal/hop"
	"github.com/perfscope/perfscope/pkg/inference/internal/memory"
)

// Memory is what an Analyzer knows of its service, as a value: another Analyzer, in
// another process, goes on from it. It never changes and is safe for concurrent use.
type Memory struct{ of *memory.Memory }

// MaxMemory bounds what Memory.Encode gives, in bytes.
const MaxMemory = memory.MaxBytes

// Errors of DecodeMemory.
var (
	ErrNotMemory     = memory.ErrNotMemory
	ErrMemoryVersion = memory.ErrVersion
	ErrMemoryDamaged = memory.ErrDamaged
)

// Encode writes a memory in at most MaxMemory bytes; of what takes more the oldest is
// left out.
func (m *Memory) Encode() ([]byte, error) { return m.of.Encode() }

// DecodeMemory reads what Encode wrote. An error is one of those above, and says what
// is wrong.
func DecodeMemory(data []byte) (*Memory, error) {
	of, err := memory.Decode(data)
	if err != nil {
		return nil, err
	}
	return &Memory{of}, nil
}

// Hops is how many hops of the past it has.
func (m *Memory) Hops() int { return len(m.of.Hops) }

// Until is the end of its newest hop, in nanoseconds since the Unix epoch; zero when
// it has none.
func (m *Memory) Until() int64 {
	if n := len(m.of.Hops); n > 0 {
		return m.of.Hops[n-1].End
	}
	return 0
}

// inherited is what an Analyzer did not learn itself.
type inherited struct {
	// instance is whose hops it judges, program the name of its program's file, role
	// what tells apart instances that do different things.
	instance, program, role string
	// unproven is set while the past of an instance of another role is not known to be
	// its own; own are the hops since, of which alike were as that past.
	unproven bool
	own      []*hop.Closed
	alike    int
	// since is the end of the first hop, zero before; roles are where the threads of
	// the past start.
	since int64
	roles map[int32]bool
}

// Follow says whose events come: the key of a service instance, the name of its
// program's file, which may be another one with another build, and when its first
// process began, in nanoseconds since the Unix epoch; empty and zero when that is not
// known. Without it no start is told from what comes later.
func (a *Analyzer) Follow(instance, program string, began int64) {
	a.inherited.instance, a.inherited.program, a.start.began = instance, program, began
}

// InRole says what the service instance does, in any word: with the past of an instance of
// another role nothing is told before a hop was as that past, and after half a minute in
// which none was it is forgotten. Call it before Recall.
func (a *Analyzer) InRole(role string) { a.inherited.role = role }

// Memory is what is known now; nil before there is a past. It shares nothing with the
// Analyzer.
func (a *Analyzer) Memory() *Memory {
	if len(a.habit.hops) < minPast && len(a.states.list) == 0 {
		return nil
	}
	s := frames.NewSaver(a.stacks)
	saved := func(hops []*hop.Closed) (list []memory.Hop) {
		for _, c := range hops {
			list = append(list, memory.Save(s, c))
		}
		return list
	}
	x := a.excursions.Figures()
	m := &memory.Memory{
		Instance: a.inherited.instance, Program: a.inherited.program, Role: a.inherited.role, Arch: a.arch, HopLength: int64(a.cfg.Hop),
		Hops: saved(last(a.habit.hops, memory.MaxHops)), Learned: int64(a.habit.learned),
		Days: x.Days, Peaks: x.Peaks, Beyond: x.Beyond,
	}
	for _, st := range a.start.all() {
		m.Starts = append(m.Starts, memory.Start{Began: st.began, Hops: saved(st.hops)})
	}
	for _, st := range a.states.list {
		m.States = append(m.States, memory.State{
			Instance: st.instance, ID: st.id, Times: slices.Clone(st.times), First: st.first, Seen: int64(st.seen),
			Longest: st.longest, Expected: st.expected, Hops: saved(st.hops),
		})
	}
	m.Outline = a.encodeOutline()
	if e := a.episode; e != nil && e.reported != 0 {
		m.Open = &memory.Open{
			Instance: a.inherited.instance, ID: e.id, Top: e.top, Onset: e.onset, Until: e.until, Reported: e.reported, Lost: e.lost,
		}
	}
	m.Saved = s.Saved
	return &Memory{m}
}

// Learned is how many hops the service's past was ever learned from, by this Analyzer
// and by those whose memory it has.
func (a *Analyzer) Learned() int { return a.habit.learned }

// Recall has an Analyzer that has learned nothing go on from a memory, of the same
// service. One of another architecture, or of hops of another length, is left aside:
// false. Call Follow before.
func (a *Analyzer) Recall(m *Memory) bool {
	if a.habit.learned > 0 || !a.fits(m) {
		return false
	}
	r := a.restore(m)
	a.adopt(m, r)
	for i := range m.of.Hops {
		a.habit.hops = append(a.habit.hops, m.of.Hops[i].Restore(r))
	}
	a.habit.hops = last(a.habit.hops, a.habit.limit)
	a.habit.learned = int(m.of.Learned)
	a.inherited.roles = map[int32]bool{}
	for _, c := range a.habit.hops {
		a.habit.familiarise(c)
		a.startsOf(c)
	}
	a.excursions = detect.ExcursionsOf(detect.ExcursionFigures{Days: m.of.Days, Peaks: m.of.Peaks, Beyond: m.of.Beyond})
	a.start.inherited = m.of.Instance != a.inherited.instance && len(a.habit.hops) >= minPast
	a.inherited.unproven = a.start.inherited && m.of.Role != a.inherited.role
	if o := m.of.Open; o != nil && o.Instance == a.inherited.instance && len(a.habit.hops) >= minPast {
		a.reopen(o)
	}
	return true
}

// Adopt takes from the memory of another instance of the service what it knows of
// starts, states and weeks, and leaves the past as it is.
func (a *Analyzer) Adopt(m *Memory) {
	if a.fits(m) {
		a.adopt(m, a.restore(m))
	}
}

// restore reads the stacks of a memory, with the program under its present name.
func (a *Analyzer) restore(m *Memory) frames.Restored {
	saved := m.of.Saved.Renamed(m.of.Program, a.inherited.program)
	return a.stacks.Restore(&saved)
}

func (a *Analyzer) fits(m *Memory) bool {
	return m.of.HopLength == int64(a.cfg.Hop) && m.of.Arch == a.arch
}

func (a *Analyzer) adopt(m *Memory, r frames.Restored) {
	restored := func(list []memory.Hop) (hops []*hop.Closed) {
		for i := range list {
			hops = append(hops, list[i].Restore(r))
		}
		return hops
	}
	for _, st := range m.of.Starts {
		a.start.add(st.Began, restored(st.Hops))
	}
	a.recallOutline(m.of.Outline)
	for i := range m.of.States {
		st := &m.of.States[i]
		a.states.add(&state{
			instance: st.Instance, id: st.ID, times: slices.Clone(st.Times), first: st.First, seen: int(st.Seen),
			longest: st.Longest, expected: st.Expected, hops: restored(st.Hops),
		})
	}
}

// outside are the hops that are held beside the past: at most four starts and sixteen
// states of twelve hops, a week of hours, five minutes of the present start, and half an
// hour of a release.
func (a *Analyzer) outside() (hops []*hop.Closed) {
	for _, p := range a.start.past {
		hops = append(hops, p.hops...)
	}
	hops = append(append(hops, a.start.present.hops...), slices.Concat(a.start.own, a.start.seen)...)
	for _, s := range a.states.list {
		hops = append(hops, s.hops...)
	}
	hops = append(hops, a.outline.all()...)
	if s := a.succession; s != nil {
		hops = append(append(hops, s.before...), s.after...)
	}
	return hops
}

// startsOf notes where the threads of a past hop start.
func (a *Analyzer) startsOf(c *hop.Closed) {
	note := func(stack uint32) {
		if role, ok := a.stacks.Role(stack); ok {
			a.inherited.roles[role] = true
		}
	}
	for stack := range c.CPU.All() {
		note(stack)
	}
	for at := range c.Wait {
		note(at.Stack)
	}
}

// inherits reports whether a thread that starts at a function is one of those that the
// service always has. Who goes on from a memory meets all of them at once, and takes
// them for known; later ones have to show that they are.
func (a *Analyzer) inherits(role int32) bool {
	in := &a.inherited
	return in.roles[role] && (in.since == 0 || a.lastClosed-in.since < int64(minPast)*int64(a.cfg.Hop))
}

// stale is how long after it was last seen an anomaly is not gone on with.
const stale = 10 * time.Minute

// prove judges a hop by the past of an instance of another role: two databases of one name
// on a host, or what was started by that name on another day, may have little in common.
// One hop may be alike by chance, as that in which it gets its first requests: it takes half
// as many as make a past.
func (a *Analyzer) prove(c *hop.Closed) {
	if !works(c) {
		return
	}
	in := &a.inherited
	in.own = append(in.own, c)
	a.latest = a.normalFor(c)
	if n := a.latest; n != nil {
		v := a.compare(n, c)
		a.note(&v)
		if v.Doubt < doubtful {
			in.alike++
		}
		if 2*in.alike >= minPast {
			in.unproven, in.own = false, nil
			a.commit(&v)
			a.remember(c)
			return
		}
	}
	if len(in.own) < minPast {
		return
	}
	a.habit = newHabit(a.habit.may, a.habit.index, a.habit.limit)
	a.start.inherited, a.start.past, a.latest = false, nil, nil
	for _, h := range in.own {
		a.habit.remember(h)
	}
	in.unproven, in.own, in.roles = false, nil, nil
}

// reopen goes on with an anomaly that was told and not over.
func (a *Analyzer) reopen(o *memory.Open) {
	a.episode = &episode{
		id: o.ID, instance: o.Instance, onset: o.Onset, normal: a.newNormal(settled(a.habit.hops)), top: o.Top, until: o.Until, reported: o.Reported,
		toll: toll{sum: lasting, lost: o.Lost},
		last: Anomaly{
			ID: o.ID, Onset: o.Onset, Start: o.Onset, End: o.Until, Kind: KindPopulationShift, Lost: o.Lost, State: StateUpdated,
		},
	}
}

// dropStale leaves an anomaly that was gone on with when nothing was seen of the
// service for long.
func (a *Analyzer) dropStale(c *hop.Closed) {
	if e := a.episode; e != nil && e.merged == nil && e.quiet == 0 && e.reported != 0 && c.Start-e.until > int64(stale) {
		a.episode = nil
	}
}

// remember adds a hop to the past, or to what a start is like.
func (a *Analyzer) remember(c *hop.Closed) {
	a.start.note(c)
	if a.start.isPart(c) {
		c.DropThreads()
		a.start.own = append(a.start.own, c)
		a.habit.familiarise(c)
		return
	}
	a.outline.note(c, a.habit.may.At)
	a.habit.remember(c)
}
