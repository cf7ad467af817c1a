package inference

import (
	"strings"
	"time"

	"github.com/perfscope/perfscope/internal/explain"
	"github.com/perfscope/perfscope/internal/frames"
	"github.com/perfscope/perfscope/pkg/inference/internal/attribute"
	"github.com/perfscope/perfscope/pkg/inference/internal/hop"
	"github.com/perfscope/perfscope/pkg/inference/internal/pattern"
	"github.com/perfscope/perfscope/pkg/inference/internal/tail"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// sameWay is the share of their time that fast requests must spend in what slow ones
// do more for those to be only larger.
const sameWay = 0.25

// describeTail says what tells the slow requests of a kind from its fast ones, and whether it
// is certain which function is the first suspect.
func (a *Analyzer) describeTail(c *tail.Contrast, h *hop.Closed, k *slowKind) (t Tail, certain bool) {
	t = Tail{
		Kind: a.kindOf(c), Spans: c.Spans, Start: h.Start, End: h.End,
		Requests: c.Requests, Share: Round(ratio(c.Slow, c.Requests)),
		Threshold: time.Duration(c.Threshold), Fast: time.Duration(c.Fast), Slow: time.Duration(c.Long), Served: c.Served,
		Explained: Round(c.Explained), Difference: DifferenceUnexplained,
	}
	switch t.Change = TailChange(c.Change); t.Change {
	case TailChangeShare:
		t.UsualShare = Round(c.Usual)
	case TailChangeLength:
		t.Usual = time.Duration(c.Usual)
	}
	say := explain.Tail{
		Kind: t.Kind, Share: t.Share, Fast: t.Fast, Slow: t.Slow, Explained: t.Explained, Units: !t.Spans, Served: t.Served,
		More: t.Change == TailChangeShare, UsualShare: t.UsualShare, Usual: t.Usual,
	}
	if c.Explained >= explains {
		t.Suspects = attribute.Rank(a.stacks, c.Times, c.Scale, a.cfg.MaxSuspects)
	}
	t.Suspects, certain = k.settle(t.Suspects)
	if len(t.Suspects) > 0 {
		t.Within = timesIn(a.stacks, c, t.Suspects)
		t.Difference = DifferencePath
		switch {
		case c.Same < 0:
			t.Difference = DifferenceUnknown
		case c.Same >= sameWay:
			t.Difference = DifferenceSame
		}
		doing := a.doingIn(c, t.Suspects)
		features := pattern.Features{Classes: a.classes, Doing: doing, CPUOutsideCalls: doing.CPU}
		t.Pattern = features.Name()
		t.Path = attribute.PathTo(a.stacks, c.Times, t.Suspects[0])
		if h.Functions > 0 {
			t.Scope = float64(len(t.Suspects)) / float64(h.Functions)
		}
		say.Function, say.Module, say.Pattern, say.Doing = t.Suspects[0].Function, t.Suspects[0].Module, t.Pattern, explain.OnCPU
		if call, waits := doing.Waited(); waits {
			say.Doing, say.Call = explain.Waiting, threadtrace.Name(a.arch, call)
		}
		say.Larger = t.Difference == DifferenceSame
	}
	t.Summary = explain.SlowRequests(&say)
	return t, certain
}

// kindOf is what the requests are called. Of the calls that tell a variant from others a
// few are enough.
func (a *Analyzer) kindOf(c *tail.Contrast) string {
	const mostNamed = 3
	how, calls := " with ", c.Variant.With
	if len(calls) == 0 {
		how, calls = " without ", c.Variant.Without
	}
	if len(calls) == 0 {
		return c.Kind
	}
	var names []string
	for _, nr := range calls[:min(mostNamed, len(calls))] {
		names = append(names, threadtrace.Name(a.arch, nr))
	}
	return c.Kind + how + strings.Join(names, ", ")
}

// doingIn is what the first suspect does. A call that keeps a CPU busy is time in that
// call as a wait is.
func (a *Analyzer) doingIn(c *tail.Contrast, suspects []Suspect) attribute.Doing {
	doing := attribute.DoingOf(a.stacks, c.Times, suspects)
	for _, t := range c.Times {
		if t.Kind != attribute.EvidenceOnCPU || attribute.Find(a.stacks, t.Stack, suspects[0]) < 0 {
			continue
		}
		for nr, part := range c.InCalls[t.Stack] {
			in := t.Excess * part
			doing.CPU -= in
			doing.Waiting += in
			doing.ByCall[nr] += in
		}
	}
	return doing
}

// timesIn is how long each suspect is on the stack in a slow request and in a fast one.
func timesIn(stacks *frames.Table, c *tail.Contrast, suspects []Suspect) []Within {
	list := make([]Within, len(suspects))
	request := c.Long / 1e9 // the times are per second of a slow request
	for i, s := range suspects {
		var slow, fast float64
		for _, t := range c.Times {
			if attribute.Find(stacks, t.Stack, s) >= 0 {
				slow, fast = slow+t.Now, fast+t.Past
			}
		}
		list[i] = Within{time.Duration(slow * request), time.Duration(fast * request)}
	}
	return list
}
