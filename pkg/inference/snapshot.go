package inference

import (
	"cmp"
	"slices"

	"github.com/perfscope/perfscope/internal/frames"
	"github.com/perfscope/perfscope/internal/unit"
	"github.com/perfscope/perfscope/pkg/inference/internal/attribute"
	"github.com/perfscope/perfscope/pkg/inference/internal/baseline"
	"github.com/perfscope/perfscope/pkg/inference/internal/hop"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// Snapshot is what an Analyzer knew of its service at one instant. Taking one copies
// next to nothing: it shares what never changes. So it may be read by one goroutine
// while the Analyzer goes on in another.
type Snapshot struct {
	// Figures are those of the last hops, the oldest first.
	Figures []HopFigures
	// Episodes are the last anomalies that are over, the oldest first.
	Episodes []Episode
	// Open is the anomaly that is not over, as it was last told; nil when there is none.
	Open *Anomaly
	// Learned is set when there is a past to compare with.
	Learned bool

	arch        string
	stacks      *frames.Table
	may         baseline.MayIdle
	hops        []*hop.Closed
	past        *baseline.Past
	interpreted bool
}

// Episode is an anomaly that is over, with the time of all of it by stack. Of very many
// stacks those with the least time are left out.
type Episode struct {
	Anomaly Anomaly
	Profile Profile
}

// Snapshot returns what the analyzer knows now.
func (a *Analyzer) Snapshot() *Snapshot {
	s := &Snapshot{
		Figures: last(a.recent.figures, maxFigures), Episodes: slices.Clone(a.recent.episodes),
		arch: a.arch, stacks: a.stacks.Frozen(), hops: last(a.recent.hops, a.habit.limit),
	}
	s.may = baseline.MayIdle{Classes: a.classes, Stacks: s.stacks}
	n := a.latest
	if e := a.episode; e != nil {
		n = e.normal
		if e.reported != 0 {
			open := e.last
			open.Units = nil
			s.Open = &open
		}
	}
	// Marks of hops that turn out to be abnormal are set later.
	s.Figures = slices.Clone(s.Figures)
	if n != nil {
		s.Learned, s.past, s.interpreted = true, n.past, n.interpreted
	}
	return s
}

// Held is the time of which the stacks are known; zero when there is none.
func (s *Snapshot) Held() (from, to int64) {
	if len(s.hops) == 0 {
		return 0, 0
	}
	return s.hops[0].Start, s.hops[len(s.hops)-1].End
}

// Between is the time by stack in the hops of which at least a half lies between two
// instants, beside the past at their load; false when there is no such hop any more.
// The hops themselves are no part of that past, if others are left.
func (s *Snapshot) Between(from, to int64) (Profile, bool) {
	var hops []*hop.Closed
	for _, c := range s.hops {
		if middle := c.Start + (c.End-c.Start)/2; middle >= from && middle < to {
			hops = append(hops, c)
		}
	}
	if len(hops) == 0 {
		return Profile{}, false
	}
	past := s.pastWithout(hops[0].Start, hops[len(hops)-1].End)
	p := profiler{stacks: s.stacks, arch: s.arch, may: s.may, idle: s.may.At}
	if past != nil {
		closed := make([]*hop.Closed, 0, past.Len())
		for _, v := range past.Hops() {
			closed = append(closed, v.Hop)
		}
		p.idle = baseline.NewIdling(closed, s.may, s.interpreted).At
	}
	cpu, wait := s.loads(hops)
	return p.profile(hops, past, cpu, wait), true
}

// pastWithout is the past without the hops between two instants, nil when there is none.
func (s *Snapshot) pastWithout(from, to int64) *baseline.Past {
	if s.past == nil {
		return nil
	}
	rest := slices.DeleteFunc(slices.Clone(s.past.Hops()), func(v *baseline.Vector) bool { return v.Hop.Start >= from && v.Hop.End <= to })
	if len(rest) == 0 || len(rest) == s.past.Len() {
		return s.past
	}
	return baseline.NewPast(rest)
}

// loads are the means of the hops' loads.
func (s *Snapshot) loads(hops []*hop.Closed) (cpu, wait float64) {
	n := 0.0
	for i := range s.Figures {
		f := &s.Figures[i]
		if f.Start >= hops[0].Start && f.End <= hops[len(hops)-1].End {
			cpu, wait, n = cpu+f.cpuLoad, wait+f.waitLoad, n+1
		}
	}
	if n == 0 {
		return 1, 1
	}
	return cpu / n, wait / n
}

// Function is a function of a service.
type Function = frames.Function

// Profile is the time of a stretch by stack, beside the past.
type Profile struct {
	// From and To bound the hops, in nanoseconds since the Unix epoch; Hops is how
	// many there are.
	From, To int64
	Hops     int
	// Compared is set when there is a past: what is normal is zero without.
	Compared bool
	// Load is the work relative to the usual.
	Load float64
	// Functions are what Sample.Stack indexes. Shared, not to be changed.
	Functions []Function
	Samples   []Sample
	// Calls are the system calls that were made, now or in the past.
	Calls []CallUse
}

// Sample is the time with one stack. Waits for something to do are left out.
type Sample struct {
	// Stack are indexes of Profile.Functions, the innermost first; empty for code
	// that cannot be named. Shared, not to be changed.
	Stack []int32
	// Waiting is set for waits amid work, in the system call named Call; else it is
	// time on CPU. Lock is set below a lock primitive.
	Waiting, Lock bool
	Call          string
	// Now is the time in the stretch, Normal what the past has at that load, in
	// seconds per second.
	Now, Normal float64
}

// CallUse is a system call with one errno, or its successes.
type CallUse struct {
	Call, Errno string
	// Rate is in calls per second, Mean in seconds.
	Rate, Mean, NormalRate, NormalMean float64
}

// keep leaves the samples with the most time.
func (p *Profile) keep(most int) {
	if len(p.Samples) <= most {
		return
	}
	slices.SortStableFunc(p.Samples, func(a, b Sample) int { return -cmp.Compare(max(a.Now, a.Normal), max(b.Now, b.Normal)) })
	p.Samples = slices.Clip(slices.Clone(p.Samples[:most]))
}

// profiler sums hops up.
type profiler struct {
	stacks *frames.Table
	arch   string
	// idle tells where threads wait for something to do, may where they could.
	idle func(hop.Place) bool
	may  baseline.MayIdle
}

// profile sets the mean of hops beside a past, which may be nil, at a load of CPU time
// and one of waits.
func (p *profiler) profile(hops []*hop.Closed, past *baseline.Past, cpuLoad, waitLoad float64) Profile {
	out := Profile{From: hops[0].Start, To: hops[len(hops)-1].End, Hops: len(hops), Load: cpuLoad, Functions: p.stacks.Functions()}
	var means attribute.Means
	if past != nil && past.Len() > 0 {
		out.Compared, means = true, attribute.MeansOf(past)
	}
	cpu, waits := map[uint32]Sample{}, map[hop.Place]Sample{}
	for stack, t := range means.CPU {
		cpu[stack] = Sample{Normal: t / 1e9 * cpuLoad}
	}
	for at, t := range means.Wait {
		if !p.idle(at) {
			waits[at] = Sample{Normal: t / 1e9 * waitLoad}
		}
	}
	seconds := 0.0
	for _, c := range hops {
		seconds += c.Seconds
	}
	for _, c := range hops {
		p.add(cpu, waits, c, ratio(c.Seconds, seconds)/1e9)
	}
	out.Samples = make([]Sample, 0, len(cpu)+len(waits))
	for stack, s := range cpu {
		at := p.stacks.Get(stack)
		// To spin for a lock is to wait for it.
		s.Stack, s.Waiting, s.Lock = at.Frames, at.Spin, at.Lock
		out.Samples = append(out.Samples, s)
	}
	for at, s := range waits {
		on := p.stacks.Get(at.Stack)
		s.Stack, s.Waiting, s.Lock, s.Call = on.Frames, true, on.Lock, threadtrace.Name(p.arch, at.Number)
		out.Samples = append(out.Samples, s)
	}
	slices.SortFunc(out.Samples, Sample.compare)
	out.Calls = p.calls(hops, means.Calls)
	return out
}

func (s Sample) compare(o Sample) int {
	return cmp.Or(slices.Compare(s.Stack, o.Stack), cmp.Compare(s.Call, o.Call), cmp.Compare(s.Now, o.Now), cmp.Compare(s.Normal, o.Normal))
}

// add adds a hop; scale makes of its times the part of the whole that they are.
func (p *profiler) add(cpu map[uint32]Sample, waits map[hop.Place]Sample, c *hop.Closed, scale float64) {
	for _, byStack := range []hop.Times{c.CPU, c.FreshCPU} {
		for stack, t := range byStack.All() {
			s := cpu[stack]
			s.Now += t * scale
			cpu[stack] = s
		}
	}
	wait := func(at hop.Place, w hop.Wait) {
		s := waits[at]
		s.Now += w.Time * scale
		waits[at] = s
	}
	for at, w := range c.Wait {
		if !p.idle(at) {
			wait(at, w)
		}
	}
	for at, w := range c.Fresh {
		// A thread without a past that could be waiting for work is.
		if _, known := c.Wait[at]; !p.idle(at) && (known || !p.may.At(at)) {
			wait(at, w)
		}
	}
}

// calls sets the calls of hops beside the past's.
func (p *profiler) calls(hops []*hop.Closed, past map[unit.Key]hop.Totals) []CallUse {
	now := map[unit.Key]hop.Totals{}
	traced := 0.0
	for _, c := range hops {
		traced += c.CallSeconds
	}
	for _, c := range hops {
		part := ratio(c.CallSeconds, traced)
		for k, t := range c.Calls {
			n := now[k]
			now[k] = hop.Totals{N: n.N + part*t.N, Time: n.Time + part*t.Time}
		}
	}
	for k := range past {
		if _, ok := now[k]; !ok {
			now[k] = hop.Totals{}
		}
	}
	calls := make([]CallUse, 0, len(now))
	for _, k := range hop.Keys(now) {
		t, was := now[k], past[k]
		calls = append(calls, CallUse{
			Call: threadtrace.Name(p.arch, k.Number), Errno: errnoName(k.Errno),
			Rate: t.N, Mean: ratio(t.Time, t.N) / 1e9, NormalRate: was.N, NormalMean: ratio(was.Time, was.N) / 1e9,
		})
	}
	return calls
}

func errnoName(errno int32) string {
	if errno == 0 {
		return ""
	}
	return threadtrace.ErrnoName(errno)
}
