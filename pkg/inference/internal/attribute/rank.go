package attribute

import (
	"cmp"
	"math"
	"slices"

	"github.com/perfscope/perfscope/internal/frames"
)

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

// Time is the time one kind of evidence saw under one stack, in
// nanoseconds per second of the service's life.
type Time struct {
	Stack uint32
	Kind  Evidence
	// Now is the abnormal phase, Past the learned one.
	Now, Past float64
	// Excess is the part of Now that the past and the load do not explain;
	// zero for what the service is not blamed for, an idle wait. It is counted
	// once where one reason holds several threads, Beyond in full.
	Excess, Beyond float64
	// Call is the system call waited in, Stuck set when a single wait has
	// lasted for a second or more; of EvidenceBlocked.
	Call  int32
	Stuck bool
	// Idle is set where threads wait for something to do; of EvidenceBlocked.
	Idle bool
	// Failing is set at calls that fail; of EvidenceSyscall.
	Failing bool
}

// Rank names the functions behind the excess, at most limit, first the one that
// decides. A score is the share of all excess that is credited to a function (see
// credit), where a caller that answers for a callee (see decides) takes the callee's.
func Rank(stacks *frames.Table, times []Time, s Scale, limit int) []Suspect {
	ranked := byCredit(stacks, times)
	if len(ranked) > 0 && s.Grain > 0 && s.Hops > 0 {
		t := newTree(stacks, times, s)
		ranked = climb(t, ranked)
		t.namesFirst(ranked)
	}
	return ranked[:min(len(ranked), limit)]
}

// byCredit sums up the credit of each function.
func byCredit(stacks *frames.Table, times []Time) []Suspect {
	grew := newGrowth(stacks, times)
	sum := newSum()
	for i := range times {
		t := &times[i]
		stack := stacks.Get(t.Stack)
		if t.Excess <= 0 || len(stack.Frames) == 0 {
			continue
		}
		sum.total += t.Excess
		evidence := t.Kind
		if stack.Inferred {
			evidence = EvidenceSignature
		}
		for f, credit := range credit(stacks, stack, t, grew) {
			sum.add(f, evidence, credit)
		}
	}
	return sum.rank(stacks)
}

// sum is the credit of functions by kind of evidence, of a total.
type sum struct {
	credits map[int32]map[Evidence]float64
	met     []int32 // of two with the same credit the one met first is first
	total   float64
}

func newSum() *sum { return &sum{credits: map[int32]map[Evidence]float64{}} }

func (s *sum) add(f int32, kind Evidence, credit float64) {
	if s.credits[f] == nil {
		s.credits[f] = map[Evidence]float64{}
		s.met = append(s.met, f)
	}
	s.credits[f][kind] += credit
}

func (s *sum) rank(stacks *frames.Table) []Suspect {
	ranked := make([]Suspect, 0, len(s.credits))
	for _, f := range s.met {
		if one := suspect(stacks.Function(f), s.credits[f], s.total); one.Score > 0 {
			ranked = append(ranked, one)
		}
	}
	sortSuspects(ranked)
	return ranked
}

func sortSuspects(ranked []Suspect) {
	slices.SortStableFunc(ranked, func(a, b Suspect) int {
		return cmp.Compare(b.Score, a.Score)
	})
}

// suspect is a function with its credit by kind of evidence, of a total.
func suspect(fn frames.Function, byKind map[Evidence]float64, total float64) Suspect {
	s := Suspect{Function: fn.Name, Module: fn.Module, File: fn.File, Line: fn.Line}
	kinds := make([]Evidence, 0, len(byKind))
	for _, kind := range []Evidence{EvidenceOnCPU, EvidenceBlocked, EvidenceSyscall, EvidenceSignature} {
		if credit, ok := byKind[kind]; ok {
			s.Score += credit / total
			kinds = append(kinds, kind)
		}
	}
	slices.SortStableFunc(kinds, func(a, b Evidence) int { return cmp.Compare(byKind[b], byKind[a]) })
	for _, k := range kinds {
		s.Evidence = append(s.Evidence, string(k))
	}
	s.Score = Round(min(1, s.Score))
	return s
}

// Round rounds a score to six digits: the others are noise to who reads them.
func Round(x float64) float64 { return math.Round(x*1e6) / 1e6 }
