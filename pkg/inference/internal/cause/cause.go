package cause

import (
	"cmp"
	"slices"

	"github.com/perfscope/perfscope/pkg/inference/internal/criteria"
	"github.com/perfscope/perfscope/pkg/inference/internal/detect"
	"github.com/perfscope/perfscope/pkg/inference/internal/hop"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// Kind is what time was lost to.
type Kind string

// The kinds of cause.
const (
	Code          Kind = "code"
	CPUQuota      Kind = "cpu_quota"
	CPUContention Kind = "cpu_contention"
	Memory        Kind = "memory"
	Disk          Kind = "disk"
	Network       Kind = "network"
	Peer          Kind = "peer"
	Stopped       Kind = "stopped"
	// Unanswered is clients that wait although nothing of the service is at work.
	Unanswered Kind = "unanswered"
)

// User is who uses a resource, other than the service, and which part of what all others
// use, 0 to 1.
type User struct {
	Name  string
	PID   int32
	Share float64
}

// Cause is a resource that the service lacks, compared with its past of it.
type Cause struct {
	Kind Kind
	// Resource is the control group, the device or the peer's address; empty is the host.
	Resource string
	// Lost is the time in excess of the past, in nanoseconds per second.
	Lost float64
	// Evidence is the sum of log likelihood ratios so far.
	Evidence float64
	// Waits is set when Lost is time in which threads waited in a call, which the calls'
	// own figures may have, too; otherwise they could not run at all. Explains is the
	// part of the waits in excess that are for it.
	Waits    bool
	Explains float64
	// External is set when something speaks for it that the service did not bring about:
	// somebody else who uses the resource, a new limit, a device that takes longer for
	// the same. Without it a function of the service may still be why.
	External bool
	// Users are who uses it, the largest first; at most three.
	Users []User
}

// Own reports whether the service is known to ask for more of what it lacks than it did. Of
// a peer nothing is known of what it is asked for.
func (c Cause) Own() bool { return !c.External && (c.Kind == Memory || c.Kind == Disk) }

// Case is a hop and what it is compared with.
type Case struct {
	Hop  *hop.Closed
	Past *Past
	// Work is the load relative to the past. CPUExcess and WaitExcess are what the code
	// has beyond the past, Active is the usual time of it on CPU or waiting amid work;
	// nanoseconds per second.
	Work, CPUExcess, WaitExcess, Active float64
	// Waits shares WaitExcess by what the calls can wait for.
	Waits Waits
	// Storage is how many times as often as usual, at this load, the service makes calls
	// that wait for storage, Moved how many times as many bytes it reads and writes, Sent
	// how many times as often or as much it writes; 1 when that is not known. Syncs is the time in calls that
	// wait for a disk, in a hop of which calls were recorded, ns per second.
	// They are looked at where it matters.
	Storage, Moved, Sent func() float64
	// Told is set when the code by itself, its refusals included, is told anyway. Oftener
	// is set when it waits more than ever in calls that it makes many times as often: after
	// each it has to queue for a CPU again.
	Told, Oftener bool
	Syncs         func(*hop.Closed) float64
}

// Waits are parts of the waits in excess, in nanoseconds per second. A read can be for
// storage as well as for a peer, so that their sum may be more than the whole.
type Waits struct {
	// Lock are those for other threads, None those for time to pass, for a child or the
	// like, which nothing of the machine explains.
	Storage, Peer, Lock, None float64
}

// Verdict is what the machine has to do with a hop.
type Verdict struct {
	// Causes are those with enough evidence to tell of them alone, the largest loss first,
	// Doubts those with a quarter of it, which is enough to explain what is told anyway.
	Causes, Doubts []Cause
	// Requeued is the time beyond the past in which threads could run and had no CPU that is
	// due to what the service does oftener, in nanoseconds per second.
	Requeued float64
	// Felt is the time beyond the past in which clients of the service, or what it asks or
	// sends, wait, in nanoseconds per second.
	Felt float64
	sums map[sumKey]float64
}

type sumKey struct {
	kind     Kind
	resource string
}

// Outside is the time lost that is not in the figures of the code: threads that could
// not run, and waits beyond what calls have in excess.
func Outside(causes []Cause) (lost float64) {
	for i := range causes {
		lost += max(0, causes[i].Lost-causes[i].Explains)
	}
	return lost
}

// Explained is which part of the waits in excess causes explain.
func Explained(causes []Cause) (sum float64) {
	for i := range causes {
		sum += causes[i].Explains
	}
	return sum
}

// explain sets what each cause explains of the waits in excess, the largest first: no
// more than is in calls that can wait for it. Who waits for a thread that waits for it
// waits for it, too: for the part of the time in which one does more than usual.
func (c *Case) explain(causes []Cause) {
	const whole = 1e9
	left, all := c.Waits, c.WaitExcess
	for i := range causes {
		x := &causes[i]
		if !x.Waits {
			continue
		}
		room := &left.Storage
		if x.Kind == Peer || x.Kind == Network {
			room = &left.Peer
		}
		own := min(x.Lost, *room, all)
		*room -= own
		locked := min(left.Lock, c.Waits.Lock*min(1, x.Lost/whole), all-own)
		left.Lock -= locked
		all -= own + locked
		x.Explains = own + locked
		x.Lost = max(x.Lost, x.Explains)
	}
}

// Test is the sequential test of the resources of one service. It is not safe for
// concurrent use. Its memory is that of the resources in doubt, maxDoubts at most.
type Test struct {
	// Evidence is the sum of log likelihood ratios from which a departure is real.
	Evidence float64
	sums     map[sumKey]float64
}

// maxDoubts bounds the resources in doubt.
const maxDoubts = 256

// Commit takes the sums of a verdict as those of the hops so far; Reset forgets them.
func (t *Test) Commit(v *Verdict) { t.sums = v.sums }

// Reset forgets what is in doubt.
func (t *Test) Reset() { t.sums = nil }

// Compare compares a hop with the past; the test is not changed. Without figures of the
// machine, now or in the past, there is no cause.
func (t *Test) Compare(c *Case) Verdict {
	v := Verdict{sums: map[sumKey]float64{}}
	if len(c.Past.hops) < criteria.MinPast || c.Hop.Machine.Seconds == 0 {
		return v
	}
	f := finder{Case: c, past: c.Past.hops, certain: t.Evidence / 2}
	f.stopped()
	f.delayed()
	f.storage()
	f.peers()
	f.unanswered()
	v.Requeued = f.requeued
	v.Felt = f.felt()
	for i := range f.found {
		found := &f.found[i]
		k := sumKey{found.Kind, found.Resource}
		sum := max(0, t.sums[k]+found.Evidence)
		if sum == 0 || len(v.sums) >= maxDoubts {
			continue
		}
		v.sums[k] = min(sum, criteria.ManyTimes*t.Evidence)
		found.Evidence = v.sums[k]
		if found.Lost <= 0 {
			continue
		}
		if found.Evidence >= t.Evidence {
			v.Causes = append(v.Causes, *found)
		}
		if found.Evidence >= criteria.Matters*t.Evidence {
			v.Doubts = append(v.Doubts, *found)
		}
	}
	byLoss := func(a, b Cause) int {
		return cmp.Or(cmp.Compare(b.Lost, a.Lost), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Resource, b.Resource))
	}
	slices.SortFunc(v.Causes, byLoss)
	slices.SortFunc(v.Doubts, byLoss)
	c.explain(v.Causes)
	c.explain(v.Doubts)
	return v
}

// Past has what the machine was like in some hops. Each resource is summed up once, however
// many hops are compared with it. It is not safe for concurrent use.
type Past struct {
	hops    []*hop.Closed
	figures map[hop.Resource]figure
	// own are those of the hops themselves.
	own [aspects]figure
}

// aspect is a figure of a hop that is no resource of the machine.
type aspect int

const (
	delays aspect = iota
	ownCPU
	othersCPU
	uninterruptible
	syncing
	aspects
)

// NewPast is that of hops, of those in which something is known of the machine.
func NewPast(hops []*hop.Closed) *Past {
	p := &Past{figures: map[hop.Resource]figure{}}
	for _, h := range hops {
		if h.Machine.Seconds > 0 {
			p.hops = append(p.hops, h)
		}
	}
	return p
}

// finder gathers the causes of one hop.
type finder struct {
	*Case
	past []*hop.Closed
	// certain is the evidence of one hop from which a figure that only tells which resource
	// it was counts as grown.
	certain  float64
	found    []Cause
	requeued float64 // see Verdict
}

// figure is one of the machine beside its past.
type figure struct{ now, mean, square, hops float64 }

// of compares a figure of each hop.
func (f *finder) of(value func(*hop.Closed) float64) (out figure) {
	out.now, out.hops = value(f.Hop), float64(len(f.past))
	for _, h := range f.past {
		v := value(h)
		out.mean += v / out.hops
		out.square += v * v / out.hops
	}
	return out
}

// aspect is of, of a figure whose past is summed up once.
func (f *finder) aspect(a aspect, value func(*hop.Closed) float64) figure {
	x := &f.Past.own[a]
	if x.hops == 0 {
		*x = f.of(value)
	}
	out := *x
	out.now = value(f.Hop)
	return out
}

// resource compares a figure of the machine.
func (f *finder) resource(r hop.Resource) figure {
	x, known := f.Past.figures[r]
	if !known {
		x = f.of(func(h *hop.Closed) float64 { return h.Machine.Figures[r] })
		f.Past.figures[r] = x
	}
	x.now = f.Hop.Machine.Figures[r]
	return x
}

// measure compares one of which the service or the host has one.
func (f *finder) measure(m threadtrace.Measure) figure { return f.resource(hop.Resource{Measure: m}) }

func (x figure) grown() float64 { return max(0, x.now-x.mean) }

// evidence is that of a figure being beyond what is expected of it, of which one
// sighting stands for grain.
func (x figure) evidence(expected, grain float64) float64 {
	return x.evidenceWith(expected, grain, detect.Waiting.Dispersion)
}

// evidenceWith is evidence with another dispersion than that of most figures.
func (x figure) evidenceWith(expected, grain, dispersion float64) float64 {
	k, mean := x.now/grain, expected/grain
	// The mean is known from so many hops only: Jeffreys' prior, and a little more.
	mean = (1 + detect.Waiting.Margin) * (mean + 1.5/x.hops)
	variance := max(0, x.square-x.mean*x.mean)
	own := 0.0
	if x.mean > 0 {
		own = variance / (x.mean * x.mean)
	}
	d := (x.hops*own + criteria.MinPast*dispersion) / (x.hops + criteria.MinPast)
	return detect.LogLikelihoodRatio(k, mean, d)
}
