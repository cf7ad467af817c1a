package evidence

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/perfscope/perfscope/internal/cleantext"
	"github.com/perfscope/perfscope/pkg/inference"
)

const (
	// maxFunctions bounds the functions listed, maxCalls the system calls.
	maxFunctions = 10
	// notable is the part of all time by which a function that is no suspect must have
	// changed to be listed.
	notable  = 0.02
	maxCalls = 10
)

// Stretch is what a service did between two instants, beside its past at that load.
type Stretch struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
	Hops int       `json:"hops"`
	// Compared is set when there is a past: what is normal is zero without.
	Compared bool    `json:"compared"`
	Load     float64 `json:"load"`
	// Active is the time on CPU and waiting amid work, in seconds per second.
	Active Time `json:"active"`
	// Functions are the suspects of an anomaly, first the first, and the functions whose
	// time changed most.
	Functions []Function `json:"functions"`
	Calls     []Call     `json:"calls,omitempty"`
	Tree      Tree       `json:"tree"`

	profile *inference.Profile
}

// Time is what was seen, and what the past has at that load, in seconds per second.
type Time struct {
	CPU        float64 `json:"cpu"`
	Wait       float64 `json:"wait"`
	NormalCPU  float64 `json:"normal_cpu"`
	NormalWait float64 `json:"normal_wait"`
}

// Now is all that was seen.
func (t Time) Now() float64 { return t.CPU + t.Wait }

// Normal is all that the past has.
func (t Time) Normal() float64 { return t.NormalCPU + t.NormalWait }

func (t *Time) add(s *inference.Sample) {
	if s.Waiting {
		t.Wait, t.NormalWait = t.Wait+s.Now, t.NormalWait+s.Normal
	} else {
		t.CPU, t.NormalCPU = t.CPU+s.Now, t.NormalCPU+s.Normal
	}
}

func (t *Time) round() {
	for _, x := range []*float64{&t.CPU, &t.Wait, &t.NormalCPU, &t.NormalWait} {
		*x = math.Round(*x*1e6) / 1e6
	}
}

// Function is a function with the time of all stacks that it is on.
type Function struct {
	Name   string `json:"name"`
	Module string `json:"module,omitempty"`
	// Rank is its place among the suspects, zero when it is none.
	Rank     int      `json:"rank,omitempty"`
	Score    float64  `json:"score,omitempty"`
	Evidence []string `json:"evidence,omitempty"`
	File     string   `json:"file,omitempty"`
	Line     int32    `json:"line,omitempty"`
	// Time is in seconds per second, Share and NormalShare the parts of all active time
	// that it is, now and in the past.
	Time        Time    `json:"time"`
	Share       float64 `json:"share"`
	NormalShare float64 `json:"normal_share"`
}

// Call is a system call, now and in the past.
type Call struct {
	Name  string `json:"name"`
	Error string `json:"error,omitempty"`
	Now   Use    `json:"now"`
	Past  Use    `json:"normal"`
}

// newStretch makes the stretch of a profile; a is the anomaly that it is of, or nil.
func newStretch(p *inference.Profile, a *Anomaly) *Stretch {
	s := &Stretch{From: instant(p.From), To: instant(p.To), Hops: p.Hops, Compared: p.Compared, Load: inference.Round(p.Load), profile: p}
	for i := range p.Samples {
		s.Active.add(&p.Samples[i])
	}
	var suspects []Suspect
	if a != nil {
		suspects = a.Suspects
	}
	s.Functions = functionsOf(p, suspects, s.Active)
	s.Calls = callsOf(p.Calls)
	s.Tree = treeOf(p)
	s.Active.round()
	return s
}

// functionsOf lists the suspects and what changed most by itself.
func functionsOf(p *inference.Profile, suspects []Suspect, all Time) []Function {
	type times struct{ own, with Time }
	of := make([]times, len(p.Functions))
	for i := range p.Samples {
		s := &p.Samples[i]
		for depth, f := range s.Stack {
			if depth == 0 {
				of[f].own.add(s)
			}
			of[f].with.add(s)
		}
	}
	list := make([]Function, 0, maxFunctions)
	listed := map[int]bool{}
	add := func(i int, f Function) {
		if i >= 0 {
			listed[i], f.Time = true, of[i].with
		}
		f.Share, f.NormalShare = share(f.Time.Now(), all.Now()), share(f.Time.Normal(), all.Normal())
		f.Time.round()
		list = append(list, f)
	}
	for rank, s := range suspects {
		i := slices.IndexFunc(p.Functions, func(f inference.Function) bool {
			return name(f.Name) == s.Function && name(f.Module) == s.Module
		})
		add(i, Function{Name: s.Function, Module: s.Module, Rank: rank + 1, Score: s.Score, Evidence: s.Evidence, File: s.File, Line: s.Line})
	}
	change := func(i int) float64 { return math.Abs(of[i].own.Now() - of[i].own.Normal()) }
	order := make([]int, 0, len(of))
	for i := range of {
		if !listed[i] && change(i) > notable*max(all.Now(), all.Normal()) {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return -cmp.Compare(change(a), change(b)) })
	for _, i := range order[:min(len(order), max(0, maxFunctions-len(list)))] {
		add(i, Function{Name: name(p.Functions[i].Name), Module: name(p.Functions[i].Module)})
	}
	return list
}

func name(s string) string { return cleantext.Clean(s, cleantext.MaxFunction) }

func share(part, whole float64) float64 {
	if whole <= 0 {
		return 0
	}
	return inference.Round(min(1, part/whole))
}

// callsOf lists the calls in which the time changed most.
func callsOf(calls []inference.CallUse) []Call {
	change := func(c *inference.CallUse) float64 {
		// A call that only fails more often takes no time: it counts as a microsecond.
		const least = 1e-6
		return math.Abs(c.Rate*max(least, c.Mean) - c.NormalRate*max(least, c.NormalMean))
	}
	calls = slices.Clone(calls)
	slices.SortStableFunc(calls, func(a, b inference.CallUse) int { return -cmp.Compare(change(&a), change(&b)) })
	out := make([]Call, 0, maxCalls)
	for _, c := range calls[:min(maxCalls, len(calls))] {
		out = append(out, Call{Name: c.Call, Error: c.Errno, Now: Use{inference.Round(c.Rate), c.Mean}, Past: Use{inference.Round(c.NormalRate), c.NormalMean}})
	}
	return out
}

// Samples are the time by stack, and the functions that Sample.Stack indexes. They must
// not be changed.
func (s *Stretch) Samples() ([]inference.Sample, []inference.Function) {
	return s.profile.Samples, s.profile.Functions
}
