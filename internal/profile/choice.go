package profile

import (
	"time"

	"github.com/perfscope/perfscope/pkg/threadtrace"
)

const (
	// enough is how many samples of a source say how many of its stacks have names.
	enough = 10
	// better is by how much larger the share of stacks with names must be for a
	// source to take the place of another: the past is lost by that.
	better = 0.2
	// remembered bounds the samples that a share is of: older ones count half.
	remembered = 1000
	// silent is for how long a source may say nothing while the service is busy.
	silent = int64(30 * time.Second)
)

// Choice decides whose samples of a service on the CPU count, the receiver's own or
// those of profiles: both see the same time, and counted twice it would be twice as
// much. It is the source that names functions on more of its stacks.
type Choice struct {
	own, profiles tally
	// Profiles is set while those of profiles count.
	Profiles bool
	// since is how many of the own samples came since the last of a profile, last
	// when that was.
	since int
	last  int64
}

type tally struct{ samples, named int }

func (t *tally) add(samples, named int) {
	t.samples += samples
	t.named += named
	if t.samples > remembered {
		t.samples, t.named = t.samples/2, t.named/2
	}
}

func (t *tally) share() float64 {
	if t.samples == 0 {
		return 0
	}
	return float64(t.named) / float64(t.samples)
}

// Own takes a batch of the receiver's into account.
func (c *Choice) Own(b *threadtrace.Batch) {
	n, latest := count(&c.own, b)
	c.since += n
	if c.Profiles && c.since >= enough && latest-c.last > silent {
		// They ended. What they named says nothing of their next time.
		c.Profiles, c.profiles = false, tally{}
	}
}

// Profile takes a batch of a profile into account.
func (c *Choice) Profile(b *threadtrace.Batch) {
	if n, latest := count(&c.profiles, b); n > 0 {
		c.since, c.last = 0, max(c.last, latest)
	}
	if !c.Profiles && c.profiles.samples >= enough && c.profiles.share() >= c.own.share()+better {
		c.Profiles = true
	}
}

// count adds up the samples of a batch that were on the CPU.
func count(t *tally, b *threadtrace.Batch) (samples int, latest int64) {
	named := 0
	for i := range b.Events {
		e := &b.Events[i]
		if e.Kind != threadtrace.KindSample {
			continue
		}
		samples++
		latest = max(latest, e.Time)
		if e.Stack != 0 && int(e.Stack) <= len(b.Stacks) && Named(&b.Stacks[e.Stack-1]) {
			named++
		}
	}
	t.add(samples, named)
	return samples, latest
}

// Shares are the parts of the stacks on which the sources name a function of the
// application.
func (c *Choice) Shares() (own, profiles float64) { return c.own.share(), c.profiles.share() }

// Remove takes events out of a batch and gives their number.
func Remove(b *threadtrace.Batch, is func(*threadtrace.Event) bool) int {
	kept := b.Events[:0]
	for i := range b.Events {
		if !is(&b.Events[i]) {
			kept = append(kept, b.Events[i])
		}
	}
	n := len(b.Events) - len(kept)
	b.Events = kept
	return n
}
