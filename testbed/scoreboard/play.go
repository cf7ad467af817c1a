package scoreboard

import (
	"time"

	"github.com/perfscope/perfscope/pkg/inference"
	"github.com/perfscope/perfscope/pkg/inference/thin"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// Judge is an inference under test.
type Judge interface {
	AddBatch(*threadtrace.Batch)
	AddCoverage(threadtrace.Coverage)
	AddMachine(*threadtrace.Machine)
	AddInterval(*thin.Interval)
	Advance(now int64) []inference.Anomaly
	Ahead(now int64) (inference.Anomaly, bool)
}

// Told is an anomaly and the newest event's time when it was told.
type Told struct {
	inference.Anomaly
	At int64
}

const (
	hopLength = int64(5 * time.Second)
	// leastGrace and stragglers say how far behind the newest event hops close, as
	// in the processor.
	leastGrace = int64(500 * time.Millisecond)
	stragglers = int64(250 * time.Millisecond)
)

// Play gives a service to a judge and returns what it tells at WARN.
func Play(s *Service, j Judge) []Told {
	var told []Told
	p := pace{length: hopLength}
	advance := func(until, at int64) {
		var found []inference.Anomaly
		if p.passes(until) {
			found = j.Advance(p.judged)
		} else if a, ok := j.Ahead(until); ok {
			found = append(found, a)
		}
		for _, a := range found {
			if !a.Warmup && !a.Repeat && a.State != inference.StateCleared {
				told = append(told, Told{a, at})
			}
		}
	}
	for _, i := range s.Intervals {
		j.AddInterval(i)
		advance(i.End, i.Delivered)
	}
	for i := range s.Flushes {
		f := &s.Flushes[i]
		advance(p.give(f, j), p.latest)
	}
	advance(p.latest, p.latest)
	return told
}

// pace says when what was delivered of a stretch of time is complete.
type pace struct {
	// length is that of a stretch.
	length                  int64
	latest, judged, flushed int64
}

// give gives a flush to who takes it, and returns up to when all was delivered.
func (p *pace) give(f *Flush, to interface {
	AddBatch(*threadtrace.Batch)
	AddCoverage(threadtrace.Coverage)
	AddMachine(*threadtrace.Machine)
}) (until int64) {
	for _, c := range f.Coverages {
		p.flushed = max(p.flushed, c.End-c.Start)
		to.AddCoverage(*c)
	}
	for _, m := range f.Machines {
		to.AddMachine(m)
	}
	p.latest = max(p.latest, f.Latest)
	for _, b := range f.Batches {
		to.AddBatch(b)
	}
	return p.latest - max(leastGrace, p.flushed+stragglers)
}

// passes reports whether another stretch is over; judged is its end then.
func (p *pace) passes(until int64) bool {
	until -= until % p.length
	if until <= p.judged {
		return false
	}
	p.judged = until
	return true
}
