package inference

import (
	"cmp"
	"slices"
	"time"

	"github.com/perfscope/perfscope/internal/frames"
	"github.com/perfscope/perfscope/internal/unit"
	"github.com/perfscope/perfscope/pkg/inference/internal/baseline"
	"github.com/perfscope/perfscope/pkg/inference/internal/hop"
	"github.com/perfscope/perfscope/pkg/inference/internal/tail"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// Request is a request that a service worked on, as a span tells of it. Times are
// nanoseconds since the Unix epoch.
type Request struct {
	// Kind is what it is compared within: the span's name and route.
	Kind string
	// Trace and ID are the span's.
	Trace      [16]byte
	ID         [8]byte
	Start, End int64
	// Thread worked for this request alone; zero when that is not known.
	Thread int32
	// Size is how much was asked for, in bytes or rows; zero when that is not known.
	Size float64
}

// Tail is what slow requests of a kind have that fast ones of the same time have not.
type Tail struct {
	// Kind is the name of a span, or of the function whose execution units they are, with
	// the calls by which those are told from others of that function where there are several
	// kinds; Spans says which.
	Kind  string
	Spans bool
	// Start and End bound the hop of which it is said, in nanoseconds since the Unix
	// epoch. What is said is of the whole window, the newer the more.
	Start, End int64
	// Requests is how many were seen in the window, Share the part of them that is slow.
	Requests, Share float64
	// Threshold is from what a request is slow, Fast and Slow are means. Served is set when
	// that is how long requests are served (the service time), without the time in line.
	Threshold, Fast, Slow time.Duration
	Served                bool
	// Explained is the share of the time that slow requests take longer which is seen
	// in functions, 0 to 1.
	Explained float64
	// Difference says how slow ones differ from fast ones.
	Difference Difference
	// Change is what of the slow requests has left its past, empty as long as nothing
	// has. UsualShare or Usual is what it was.
	Change     TailChange
	UsualShare float64
	Usual      time.Duration
	Pattern    string
	// Suspects are ranked, most suspect first; without any nothing stands out.
	Suspects []Suspect
	// Within is, for each of Suspects, how long it is on the stack in a slow request and in
	// a fast one, on average.
	Within []Within
	// Path is the chain of callers, outermost first, that leads into the first suspect.
	Path []string
	// Scope is the share of the program's functions that Suspects is, zero when their
	// number is unknown.
	Scope float64
	// News is set when this was not told yet, is another explanation, or has changed.
	News    bool
	Summary string
}

// TailChange is what of the slow requests of a kind has left its past.
type TailChange string

// The changes: there are more of them, or they take longer.
const (
	TailChangeShare  = TailChange(tail.ChangeShare)
	TailChangeLength = TailChange(tail.ChangeLength)
)

// Within is the time of a function in a request, on CPU and waiting, of all threads that
// work for it.
type Within struct{ Slow, Fast time.Duration }

// Difference is how slow requests of a kind differ from fast ones.
type Difference string

// The differences.
const (
	// DifferenceSame means that slow ones do the same, only more of it: they are
	// larger.
	DifferenceSame Difference = "more_of_the_same"
	// DifferencePath means that slow ones go another way through the program.
	DifferencePath Difference = "another_path"
	// DifferenceUnknown means that it is not known which of the two it is: too little was
	// seen of fast ones.
	DifferenceUnknown Difference = "unknown"
	// DifferenceUnexplained means that nothing seen in the process tells them apart.
	DifferenceUnexplained Difference = "unexplained"
)

const (
	// spansLate is how long after it ended a span may come, in nanoseconds: SDKs export
	// every five seconds.
	spansLate = int64(10 * time.Second)
	// explains is the share of the extra time from which something is explained.
	explains = 0.25
	// patienceSlow is how many slow requests there must be for it to be told that
	// nothing explains them.
	patienceSlow = 50
	// mostStands bounds for how much time a recorded second may stand.
	mostStands = 10
	// pieceOfWait is of what length a wait of a goroutine is taken in pieces, in nanoseconds,
	// maxPieces of how many.
	pieceOfWait, maxPieces = int64(20 * time.Millisecond), int64(8)
	// maxCalls is of how many calls a hop a part is taken.
	maxCalls = 1024
)

// slowRequests follows the requests of a service.
type slowRequests struct {
	pool       *tail.Pool // nil when switched off
	units      tail.Units
	goroutines tail.Goroutines
	period     float64
	// delay is for how long threads waited for a CPU once a recorded wait was over, in
	// nanoseconds.
	delay float64
	// stands is for how much time a recorded second stood in the last hop: that wait is
	// not seen while calls are not recorded.
	stands float64
	// calls is how many waits were told by calls in this hop, or since the last time that
	// there were too many; one in every is taken.
	calls, every int
	// followed is when a wait of a single goroutine came last.
	followed int64
	// idle tells where threads wait for something to do, as of the last hop.
	idle  func(hop.Place) bool
	kinds map[string]*slowKind
	now   []Tail
}

func newSlowRequests(cfg Config, stacks *frames.Table, classes *threadtrace.Classes) slowRequests {
	if !cfg.SlowRequests {
		return slowRequests{}
	}
	pool := tail.NewPool(int64(cfg.Window))
	pool.Lock = func(stack uint32) bool { return stacks.Get(stack).Lock }
	pool.Mixed, pool.RolesOnly = !cfg.follows(RuleSlowApart), !cfg.follows(RuleKindsByCalls)
	return slowRequests{pool: pool, units: tail.Units{Sights: tail.Sights{Stacks: stacks, Classes: classes}}, goroutines: tail.Goroutines{Stacks: stacks}, kinds: map[string]*slowKind{}}
}

// AddRequests takes requests that are over. They must come within ten seconds of their
// end, in the events' time; what comes later is left out.
func (a *Analyzer) AddRequests(list []Request) {
	if a.slow.pool == nil {
		return
	}
	for i := range list {
		r := &list[i]
		if a.threads[r.Thread] == nil {
			r.Thread = 0 // what a runtime calls a thread is none of the kernel's
		}
		a.slow.pool.Add(r.tail())
	}
}

func (r *Request) tail() tail.Request {
	return tail.Request{Kind: r.Kind, ID: r.ID, Start: r.Start, End: r.End, Thread: r.Thread, Size: r.Size}
}

// Tails are the kinds of requests of which some are slow, as of the last hop.
func (a *Analyzer) Tails() []Tail { return a.slow.now }

// SawWithin reports whether the first suspect of a tail was seen while a request was
// under way.
func (a *Analyzer) SawWithin(t *Tail, r Request) bool {
	if a.slow.pool == nil || len(t.Suspects) == 0 {
		return false
	}
	if a.threads[r.Thread] == nil {
		r.Thread = 0
	}
	f, ok := a.stacks.Lookup(t.Suspects[0].Function, t.Suspects[0].Module)
	q := r.tail()
	return ok && a.slow.pool.Within(a.stacks, &q, f)
}

// Seen is where a thread was at an instant.
type Seen struct {
	// Time is the instant, in nanoseconds since the Unix epoch, Duration the time that it
	// stands for.
	Time     int64
	Duration time.Duration
	// Stack has the functions, the innermost first.
	Stack []Function
	// Waiting is set where it waits, Call is the system call that it waits in.
	Waiting bool
	Call    string
}

// SeenWithin is where the thread of a request was seen while it was under way, the first
// so many times; nothing when it is not known which thread worked for it alone.
func (a *Analyzer) SeenWithin(r Request, most int) (list []Seen) {
	if a.slow.pool == nil || r.Thread == 0 || a.threads[r.Thread] == nil {
		return nil
	}
	q := r.tail()
	for _, s := range a.slow.pool.SightingsOf(&q, most) {
		seen := Seen{Time: s.Time, Duration: time.Duration(s.Duration), Waiting: s.Waiting}
		for _, f := range a.stacks.Get(s.Stack).Frames {
			seen.Stack = append(seen.Stack, a.stacks.Function(f))
		}
		if s.Waiting {
			seen.Call = threadtrace.Name(a.arch, s.Number)
		}
		list = append(list, seen)
	}
	return list
}

// see takes an event of a thread; place is its stack as that of a wait, recorded since when
// all its calls were recorded, zero when they are not.
func (s *slowRequests) see(thread int32, e *threadtrace.Event, place uint32, recorded int64) {
	if s.pool == nil {
		return
	}
	if e.Kind == threadtrace.KindSample {
		s.period = float64(e.Duration)
	}
	if e.Kind == threadtrace.KindCall {
		s.delay += float64(e.Delay)
	}
	told := *e
	told.Stack = place
	sight := s.units.Of(thread, &told)
	told.Stack = sight.Stack
	if s.pool.TakesUnits(e.Time) {
		s.units.See(thread, &told, &sight, recorded, s.pool.Add)
		if thread < 0 || !s.pool.HasRequests(e.Time) {
			return // where goroutines wait is told by those that are followed
		}
	}
	if thread < 0 {
		s.goroutines.Population(thread, int(e.Population))
	}
	switch {
	case thread < 0 && s.followed > 0 && e.Time-s.followed < spansLate:
		return // so it is with spans
	case e.Kind == threadtrace.KindCall || e.Kind == threadtrace.KindInFlight:
		if !sight.Vague {
			s.seeCall(thread, e, sight.Seen[0])
		}
		return
	case e.Kind == threadtrace.KindBlocked && recorded > 0 && thread > 0 && !sight.Vague:
		return // the call itself tells it
	}
	for _, t := range sight.Seen {
		s.pool.See(tail.Sighting{Time: e.Time, Duration: t.Time, Thread: thread, Stack: t.Stack, Number: t.Number, Waiting: t.Waiting})
	}
}

// follow takes a wait of a single goroutine. Many are looked at, and seldom; those that are
// followed stand for the others.
func (s *slowRequests) follow(creator int32, e *threadtrace.Event) {
	if s.pool == nil {
		return
	}
	waited := s.goroutines.See(creator, e, s.pool.Add)
	if s.followed = e.Time; waited <= 0 || !s.pool.HasSpans(e.Time) {
		return
	}
	// Several instants tell better whose it is than one.
	pieces := min(maxPieces, 1+e.Elapsed/pieceOfWait)
	for i := range pieces {
		s.pool.See(tail.Sighting{
			Time: e.Time - e.Elapsed*(2*i+1)/(2*pieces), Duration: waited / pieces,
			Thread: creator, Stack: e.Stack, Number: e.Number, Waiting: true,
		})
	}
}

// seeCall takes a call as a wait. Where there are many, one stands for several.
func (s *slowRequests) seeCall(thread int32, e *threadtrace.Event, t unit.StackTime) {
	if t.Stack == 0 || s.idle != nil && s.idle(hop.Place{Stack: t.Stack, Number: t.Number}) {
		return
	}
	s.calls++
	if s.every = max(1, s.every); s.calls%s.every != 0 {
		return
	}
	if s.calls/s.every > maxCalls {
		s.calls, s.every = 0, 2*s.every
	}
	took := float64(t.Time)
	if s.stands > 1 {
		took += (s.stands - 1) * float64(e.Delay)
	}
	s.pool.See(tail.Sighting{
		Time: e.Time + e.Duration/2, Duration: int64(float64(s.every) * took), Thread: thread, Stack: t.Stack, Number: t.Number, Waiting: true,
	})
}

// judge pools what is complete by a hop, and says what tells slow requests apart.
func (s *slowRequests) judge(a *Analyzer, c *hop.Closed) {
	if s.pool == nil {
		return
	}
	until := c.End
	// The rest is of threads that would have gone on.
	delay := c.RunDelay
	if s.stands = 1; c.CallSeconds > 0 {
		s.stands = min(c.Seconds/c.CallSeconds, mostStands)
		delay = max(0, delay-s.delay/c.CallSeconds)
	}
	s.delay = 0
	if s.calls < maxCalls/4*s.every {
		s.every = max(1, s.every/2)
	}
	s.calls = 0
	seen := tail.Seen{
		Seconds: c.CallSeconds, CPU: c.CPUTotal / 1e9 * c.Seconds, RunDelay: delay / 1e9 * c.Seconds,
		Recorded: min(1, c.CallSeconds/c.Seconds),
	}
	if s.pool.HasRequests(c.End) {
		until, seen.Seconds = until-spansLate, c.Seconds
	}
	if !s.pool.TakesUnits(c.End) {
		s.units.Restart() // events were left out
	}
	s.pool.Sweep(until, seen)
	s.units.Forget(func(thread int32) bool { return a.threads[thread] == nil })
	s.goroutines.Forget(c.End - int64(a.cfg.Window))
	s.now = s.now[:0:0]
	if s.period <= 0 {
		return
	}
	s.idle = a.resting()
	v := tail.View{Stacks: a.stacks, Classes: a.classes, Idle: s.idle, Period: s.period}
	found := s.pool.Contrasts(v)
	// A variant has something to tell when that is not what is told of all of its kind.
	slices.SortStableFunc(found, func(a, b tail.Contrast) int { return cmp.Compare(a.Variant.Role, b.Variant.Role) })
	first := map[string]string{}
	// What threads do for goroutines are pieces of what those do.
	whole := slices.ContainsFunc(found, func(c tail.Contrast) bool { return c.Goroutines && c.Explained >= explains })
	for i := range found {
		if c := &found[i]; whole && !c.Spans && !c.Goroutines {
			continue
		}
		k := s.kind(a.kindOf(&found[i]))
		if k == nil {
			continue
		}
		t, certain := a.describeTail(&found[i], c, k)
		of := found[i].Variant.Role
		switch {
		case of != "" && (len(t.Suspects) == 0 || t.Suspects[0].Function == first[of]):
			continue
		case len(t.Suspects) > 0:
			first[t.Kind] = t.Suspects[0].Function
		}
		if k.say(&t, found[i].Slow, certain) {
			s.now = append(s.now, t)
		}
	}
	slices.SortFunc(s.now, func(a, b Tail) int { return cmp.Compare(a.Kind, b.Kind) })
}

// resting tells where threads wait for something to do, as far as that is known by now:
// a request that is late for another reason is no reason for them to wait.
func (a *Analyzer) resting() func(hop.Place) bool {
	switch n, hops := a.latest, a.habit.hops; {
	case n != nil:
		return n.idling.At
	case len(hops) > 0:
		return baseline.NewIdling(hops, a.habit.may, a.interprets(hops)).At
	}
	return a.habit.may.Parks
}

func (s *slowRequests) bytes() int64 {
	if s.pool == nil {
		return 0
	}
	const perThread, perGoroutine = 1024, 48
	return s.pool.Bytes() + perThread*int64(s.units.Len()) + perGoroutine*int64(s.goroutines.Len())
}
