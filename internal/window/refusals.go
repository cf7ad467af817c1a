package window

import (
	"fmt"
	"slices"

	"github.com/perfscope/perfscope/internal/suspect"
	"github.com/perfscope/perfscope/internal/syscalltrace"
	"github.com/perfscope/perfscope/internal/unit"
)

const etimedout, einprogress = 110, 115

// A refusal is a failure that is not part of normal work, and that users feel
// though it takes no time: the kernel is out of something, or a peer is gone.
// What is tried and may fail as a matter of course (no such file, would block, a
// client that left) is none.

// scarce are the errnos for something that has run out: ENOMEM, ENFILE, EMFILE,
// ENOSPC, ENOBUFS, EDQUOT. They are the same on amd64 and arm64.
var scarce = []int32{12, 23, 24, 28, 105, 122}

// unreachable are the errnos of a connect whose peer is not there:
// EADDRNOTAVAIL, ENETUNREACH, ETIMEDOUT, ECONNREFUSED, EHOSTUNREACH.
var unreachable = []int32{99, 101, 110, 111, 113}

// refusedOften is the rate, in refusals per second, that makes a hop abnormal:
// one a second is five in a hop, which is more than one bad moment. Past ones
// count suspect.ManyTimes against it, since some programs live with them.
const refusedOften = 1.0

// maxRefused bounds the distinct refusals of one hop.
const maxRefused = 32

func (s *Service) isRefusal(k unit.Key) bool {
	return slices.Contains(scarce, k.Errno) ||
		slices.Contains(unreachable, k.Errno) && s.classes.Is(k.Number, syscalltrace.ClassConnect)
}

// compareRefusals sets the refusals of a hop beside those of the past.
func (s *Service) compareRefusals(v *verdict, p *past, c *closedHop) {
	rate := 0.0
	for _, k := range keysOf(c.calls) {
		if x := c.calls[k].n - suspect.ManyTimes*p.callMean[k].n; s.isRefusal(k) && x > 0 {
			rate += x
			v.refused = append(v.refused, k)
		}
	}
	// There is no more than certain that something has run out. In bursts as
	// many must have been seen as in a whole hop.
	v.refusalScore = min(rate*share(c.callSeconds, c.seconds)/refusedOften, certain)
}

// refusalEvidence credits the stacks at refused calls, each call alike: no time
// tells one from the other. They are held against the stacks at all calls of
// the past: what is on those explains nothing.
func (s *Service) refusalEvidence(e *episode, v verdict) []suspect.StackTime {
	var times []suspect.StackTime
	asked := s.asked(e, v.refused)
	for site, n := range e.merged.callSites {
		if slices.Contains(asked, site.key) {
			times = append(times, suspect.StackTime{Stack: site.stack, Kind: suspect.EvidenceSyscall, Now: n, Excess: n, Failing: true})
		}
	}
	for site, n := range e.past.siteMean {
		times = append(times, suspect.StackTime{Stack: site.stack, Kind: suspect.EvidenceSyscall, Past: n})
	}
	return times
}

// asked are the calls that asked for what was refused: the refused ones, but of
// connects that were not waited for the ones that began them. What then hears of
// the refusal is a check when the socket is ready; who connects is to blame.
func (s *Service) asked(e *episode, refused []unit.Key) []unit.Key {
	asked := make([]unit.Key, 0, len(refused))
	for _, k := range refused {
		begun := unit.Key{Number: k.Number, Errno: einprogress}
		// Of those that were refused each was begun, some just before the hops.
		if s.classes.Is(k.Number, syscalltrace.ClassConnect) && 2*e.merged.calls[begun].n > e.merged.calls[k].n {
			k = begun
		}
		if !slices.Contains(asked, k) {
			asked = append(asked, k)
		}
	}
	return asked
}

// mostRefused is the refused call that is most frequent, and the share of such
// calls that it is.
func mostRefused(c *closedHop, v verdict) (most unit.Key, refused float64) {
	for i, k := range v.refused {
		if i == 0 || c.calls[k].n > c.calls[most].n {
			most = k
		}
	}
	all := 0.0
	for _, k := range keysOf(c.calls) {
		if k.Number == most.Number {
			all += c.calls[k].n
		}
	}
	return most, share(c.calls[most].n, all)
}

// describeRefusal is the most frequent refusal in words.
func (s *Service) describeRefusal(c *closedHop, v verdict) string {
	k, refused := mostRefused(c, v)
	return fmt.Sprintf("%.0f %% of its calls of %s fail with %s", 100*refused, syscalltrace.Name(s.arch, k.Number), syscalltrace.ErrnoName(k.Errno))
}

// refusedThread notes which thread was refused a call, for its spans to be
// found.
func (h *hop) refusedThread(thread int32, e *syscalltrace.Event) {
	k := unit.KeyOf(e.Number, e.Return)
	threads := h.refused[k]
	if threads == nil {
		if len(h.refused) >= maxRefused {
			return
		}
		threads = map[int32]suspect.Span{}
		h.refused[k] = threads
	}
	sp, ok := threads[thread]
	if !ok {
		if len(threads) >= maxThreads {
			return
		}
		sp = suspect.Span{ThreadID: thread, Start: e.Time, End: e.End()}
	}
	sp.Start, sp.End = min(sp.Start, e.Time), max(sp.End, e.End())
	threads[thread] = sp
}
