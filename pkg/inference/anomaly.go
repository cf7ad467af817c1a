package inference

import (
	"github.com/perfscope/perfscope/pkg/inference/internal/attribute"
	"github.com/perfscope/perfscope/pkg/inference/internal/hop"
	"github.com/perfscope/perfscope/pkg/inference/internal/pattern"
)

// Suspect is a function and how much of the abnormal time points to it.
type Suspect = attribute.Suspect

// Evidence names what ties a suspect to abnormal time.
type Evidence = attribute.Evidence

// The kinds of evidence.
const (
	EvidenceOnCPU     = attribute.EvidenceOnCPU
	EvidenceBlocked   = attribute.EvidenceBlocked
	EvidenceSyscall   = attribute.EvidenceSyscall
	EvidenceSignature = attribute.EvidenceSignature
)

// Deviation is a system call (with one errno, or its successes) whose use left its
// past.
type Deviation = pattern.Deviation

// Figures describe the use of one system call.
type Figures = pattern.Figures

// Span is a stretch of one thread, in nanoseconds since the Unix epoch.
type Span = hop.Span

// Round rounds a score to six digits: the others are noise to who reads them.
func Round(x float64) float64 { return attribute.Round(x) }

// Kind is one of the three kinds of abnormality.
type Kind string

const (
	// KindOutlierUnit is a unit far from its neighbours in its cluster.
	KindOutlierUnit Kind = "outlier_unit"
	// KindPopulationShift is a service that as a whole left its own past.
	KindPopulationShift Kind = "population_shift"
	// KindSilence is a thread on CPU without a call, or inside one call,
	// far beyond its past.
	KindSilence Kind = "silence"
)

// Anomaly is what the inference has to say about one service over one hop.
type Anomaly struct {
	// ID is shared by the anomalies of one episode, from its onset until
	// the service is back to its past.
	ID string
	// State is where it is in its life.
	State State
	// Onset is the start of the first abnormal hop of the episode; Start
	// and End bound this hop. Nanoseconds since the Unix epoch. Of a cleared
	// anomaly they bound the time from its end until that was known.
	Onset, Start, End int64
	// Cleared is when a cleared anomaly ended, zero before; Ending says why.
	Cleared int64
	Ending  Ending
	// Lost is the time in excess of the past so far, in seconds, of all hops.
	Lost float64
	Kind Kind
	// Score is what it costs over what would matter: 1 is a fifth of the time that
	// the service is active, or 2 % of a CPU if that is more.
	Score float64
	// Confidence is how sure it is that the service left its past: the logarithm of
	// how many times as likely the hops are if it did.
	Confidence float64
	// Warmup is set while the service has no past to be compared with.
	Warmup bool
	// Repeat is set when the same suspects were reported recently: spans
	// are still annotated, a further log record tells nothing new.
	Repeat bool
	// Pattern is one of the Pattern constants, or empty.
	Pattern string
	// Causes share the time lost between the code, the machine and peers, the largest
	// part first, or the machine's parts if they are more together; empty when nothing
	// is known of the machine.
	Causes []Cause
	// Victims are other services of the host that lack the same; the inference of one
	// service knows none.
	Victims []string
	// Suspects are ranked, most suspect first; where the first of Causes is not the code
	// they are where it is waited for. There are none when the reason is known to lie
	// outside of the service; Hit are the functions then that would have been.
	Suspects, Hit []Suspect
	// Deviations are the system calls that left their past, largest first.
	Deviations []Deviation
	// Units are the abnormal stretches of threads, for matching spans.
	Units []Span
	// Path is the chain of callers, outermost first, that leads into the
	// first suspect.
	Path []string
	// Order is the functions that ran one after the other before the first
	// suspect, in the order of time and it last, as signatures tell them; empty
	// when they do not.
	Order []string
	// Chain follows the wait with the most excess to where it ends, as far as it was told
	// who woke whom: the last link is what is waited for. It is empty when that is not
	// known, or when little of the excess is a wait.
	Chain []Link
	// Gain is by how much of its time a request would be shorter, on average, were the
	// excess of the first suspect gone, and the waits for it, 0 to 1: by Little's law that
	// is its part of the time the service is active.
	Gain float64
	// Scope is the share of the program's functions that Suspects is
	// (the paper's search scope); zero when their number is unknown.
	Scope float64
	// Impact is the time in excess of the past as a share of the time the
	// service was active (on CPU or waiting amid work); 0 to 1. When calls are
	// refused and no time is lost by it, the share of such calls that are.
	Impact float64
	// Seen is on how many occasions the service was in this state, this one among them,
	// FirstSeen when it was first, in nanoseconds since the Unix epoch; zero when it
	// was not before.
	Seen      int
	FirstSeen int64
	// Summary is one sentence for a person.
	Summary string
}

// State is where an anomaly is in its life.
type State string

// The states. An anomaly is raised once, updated any number of times, and
// cleared once.
const (
	StateRaised  State = "raised"
	StateUpdated State = "updated"
	StateCleared State = "cleared"
)

// Ending is why an anomaly is cleared.
type Ending string

const (
	// EndRecovered means that the service is back within its past.
	EndRecovered Ending = "recovered"
	// EndLearned means that it lasted so long that it is the service's habit now.
	EndLearned Ending = "learned"
	// EndExpected means that somebody said that it is expected.
	EndExpected Ending = "expected"
	// EndUnwatched means that nothing is heard of the service any more: it has
	// ended, or who watches it has.
	EndUnwatched Ending = "unwatched"
)

// Clear makes of what was last known of an anomaly that it is over: since an
// instant, and known to be at another, both in nanoseconds since the Unix epoch.
func (a Anomaly) Clear(since, known int64, why Ending) Anomaly {
	a.State, a.Ending, a.Cleared = StateCleared, why, max(a.Onset, since)
	a.Start, a.End = a.Cleared, max(a.Cleared, known)
	a.Repeat, a.Units = false, nil
	return a
}
