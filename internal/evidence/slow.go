package evidence

import (
	"time"

	"github.com/perfscope/perfscope/internal/cleantext"
	"github.com/perfscope/perfscope/pkg/inference"
)

// SlowKind is a kind of requests of which some are slow, and what these have that the
// fast ones of the same time have not. Times are in seconds.
type SlowKind struct {
	Kind string `json:"kind"`
	// Spans is set when the requests are spans; else they are what threads do between
	// two waits, since no spans come.
	Spans    bool   `json:"spans"`
	Sentence string `json:"sentence"`
	// At is the end of the hop of which it is said.
	At time.Time `json:"at"`
	// Requests and Slow are how many were seen within the window, Share the part of them
	// that is slow.
	Requests float64 `json:"requests"`
	Slow     float64 `json:"slow"`
	Share    float64 `json:"share"`
	// Threshold is from what one is slow, FastMean and SlowMean are what they take.
	Threshold float64 `json:"threshold"`
	FastMean  float64 `json:"fast_mean"`
	SlowMean  float64 `json:"slow_mean"`
	// Explained is the part of the extra time that Functions are.
	Explained float64 `json:"explained"`
	// Difference and Pattern are as of perfscope.tail.
	Difference string         `json:"difference"`
	Pattern    string         `json:"pattern,omitempty"`
	Functions  []SlowFunction `json:"functions,omitempty"`
	Path       []string       `json:"path,omitempty"`
	// Examples are the last slow spans, the newest first.
	Examples []Span `json:"examples,omitempty"`
}

// SlowFunction is a suspect of slow requests.
type SlowFunction struct {
	Suspect
	// InSlow and InFast are for how many seconds it is on the stack in a request.
	InSlow float64 `json:"in_slow"`
	InFast float64 `json:"in_fast"`
}

// SlowKindOf turns what an analysis said of slow requests into a value of its own.
func SlowKindOf(t *inference.Tail) SlowKind {
	k := SlowKind{
		Kind: cleantext.Clean(t.Kind, cleantext.MaxName), Spans: t.Spans, Sentence: clean(t.Summary), At: instant(t.End),
		Requests: inference.Round(t.Requests), Slow: inference.Round(t.Requests * t.Share), Share: t.Share,
		Threshold: t.Threshold.Seconds(), FastMean: t.Fast.Seconds(), SlowMean: t.Slow.Seconds(),
		Explained: t.Explained, Difference: string(t.Difference), Pattern: t.Pattern, Path: cleanAll(t.Path),
	}
	for i := range t.Suspects {
		f := SlowFunction{Suspect: suspectOf(&t.Suspects[i])}
		if i < len(t.Within) {
			f.InSlow, f.InFast = t.Within[i].Slow.Seconds(), t.Within[i].Fast.Seconds()
		}
		k.Functions = append(k.Functions, f)
	}
	return k
}

func suspectOf(s *inference.Suspect) Suspect {
	return Suspect{
		Function: clean(s.Function), Module: clean(s.Module), File: cleantext.Clean(s.File, cleantext.MaxPath), Line: s.Line,
		Score: s.Score, Evidence: s.Evidence,
	}
}

// SlowSpan is a slow request with where its thread was seen while it was under way.
type SlowSpan struct {
	Trace [16]byte
	ID    [8]byte
	End   time.Time
	// Seen is in the order of time; its names are the target's own.
	Seen []inference.Seen
}
