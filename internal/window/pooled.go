package window

import "github.com/perfscope/perfscope/internal/suspect"

// maxPooled is over how many hops in a row evidence is pooled: as many as it
// takes for hops of which each is in doubt to be certain together.
const maxPooled = int(certain / doubt)

// muchMore is the load from which a small departure says nothing: what a request
// costs then is not known to a fifth.
const muchMore = 1.5

// pooled looks at the newest hops as one, when none of them tells anything by
// itself: a service that uses a tenth of a CPU has a few dozen samples in a hop
// in ten functions, of which chance may double any. Over three hops it does not.
//
// The rule is that of hops in a row that are judged one by one (see doubt): k
// hops are certain when k times their common score is. Only time on CPU is
// pooled. It is sampled, and no more than it was; waiting has bad moments, as of
// a disk that flushes its cache, which are as long as a hop and over.
func (s *Service) pooled(c *closedHop) *episode {
	for k := 2; k <= maxPooled && len(s.closed) > k; k++ {
		first := len(s.closed) - (k - 1)
		learned := s.learned(s.closed[:first], c)
		if len(learned) < minPast {
			return nil
		}
		e := newEpisode(s.newPast(learned), learned, s.closed[first])
		e.recent = append(e.recent, s.closed[first:]...)
		// To be sure of little does not make it worth looking at.
		if v := s.comparePooled(e, c); v.cpuExcess < worthLooking*1e9 || float64(k)*v.score < certain {
			continue
		}
		for _, h := range e.recent {
			e.merge(h)
		}
		e.sum = certain
		s.closed = s.closed[:first]
		return e
	}
	return nil
}

// comparePooled holds a hop and the ones before it, as one, against the past.
func (s *Service) comparePooled(e *episode, c *closedHop) verdict {
	var all episode
	for _, h := range e.recent {
		all.merge(h)
	}
	all.merge(c)
	v := s.compareKnown(e.past, all.merged, all.merged.knownCPU())
	// A little more is worth telling only beside all that the service does.
	v.timeScore = v.cpuExcess / threshold(v.active)
	if v.load > muchMore {
		v.timeScore = 0
	}
	v.score, v.refusalScore, v.refused = v.timeScore, 0, nil
	v.waitExcess, v.waitWeight, v.stuck = 0, 0, 0
	v.times = withoutWaits(v.times)
	return v
}

func withoutWaits(times []suspect.StackTime) []suspect.StackTime {
	for i := range times {
		if times[i].Kind == suspect.EvidenceBlocked {
			times[i].Excess = 0
		}
	}
	return times
}
