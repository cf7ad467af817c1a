// Package suspect turns abnormal time into ranked functions: it credits the
// excess of a service over its own past along the application frames of the
// stacks that carry it, names the pattern if it knows it, and says it in one
// sentence.
package suspect

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
	// the service is back to its habit.
	ID string
	// Onset is the start of the first abnormal hop of the episode; Start
	// and End bound this hop. Nanoseconds since the Unix epoch.
	Onset, Start, End int64
	Kind              Kind
	// Score is how far beyond its past the service is: 1 is the level that
	// no hop of its learned past reaches, 2 is twice that.
	Score float64
	// Warmup is set while the service has no past to be compared with.
	Warmup bool
	// Repeat is set when the same suspects were reported recently: spans
	// are still annotated, a further log record tells nothing new.
	Repeat bool
	// Pattern is one of the Pattern constants, or empty.
	Pattern string
	// Suspects are ranked, most suspect first.
	Suspects []Suspect
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
	// Scope is the share of the program's functions that Suspects is
	// (the paper's search scope); zero when their number is unknown.
	Scope float64
	// Impact is the time in excess of the past as a share of the time the
	// service was active (on CPU or waiting amid work); 0 to 1. When calls are
	// refused and no time is lost by it, the share of such calls that are.
	Impact float64
	// Summary is one sentence for a person.
	Summary string
}

// Evidence names what ties a suspect to abnormal time.
type Evidence string

const (
	// EvidenceOnCPU is a stack of a thread on a CPU.
	EvidenceOnCPU Evidence = "on_cpu"
	// EvidenceBlocked is a stack of a thread waiting in a call.
	EvidenceBlocked Evidence = "blocked"
	// EvidenceSyscall is a stack at a system call that deviates.
	EvidenceSyscall Evidence = "syscall"
	// EvidenceSignature is calls by which a function is told without a stack.
	EvidenceSignature Evidence = "signature"
)

// Suspect is a function and how much of the abnormal time points to it.
type Suspect struct {
	Function, Module, File string
	Line                   int32
	// Score is the credited share of the abnormal time, 0 to 1.
	Score float64
	// Evidence lists the kinds of stack that name the function, the one
	// with the most credit first.
	Evidence []string
}

// Deviation is a system call (with one errno, or its successes) whose use
// left its past.
type Deviation struct {
	// Call is the system call's name, Error the errno's name or empty.
	Call, Error      string
	Normal, Abnormal Figures
}

// Figures describe the use of one system call.
type Figures struct {
	// RatePerSecond is calls per traced second.
	RatePerSecond float64
	// MeanSeconds is the mean time in the call.
	MeanSeconds float64
	// ErrorShare is the share of the calls that ended with this Error.
	ErrorShare float64
}

// Span is a stretch of one thread, in nanoseconds since the Unix epoch.
type Span struct {
	ThreadID   int32
	Start, End int64
}
