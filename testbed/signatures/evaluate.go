package signatures

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/perfscope/perfscope/internal/signature"
	"github.com/perfscope/perfscope/pkg/threadtrace"
	"github.com/perfscope/perfscope/pkg/threadtrace/tracelog"
	"github.com/perfscope/perfscope/testbed/recording"
)

// Row is how well the signatures of one server tell its functions. Its JSON
// form is an element of testbed/out/signatures.json.
type Row struct {
	Server   string `json:"server"`
	Language string `json:"language"`
	// Functions is how many have a signature.
	Functions int `json:"functions"`
	// Precision is, of the units with a match, the share in which the
	// function with the best one was really on the stack at the call that
	// told it; Recall the same of all units that ran a function of the program.
	Precision float64 `json:"precision"`
	Recall    float64 `json:"recall"`
	// NsPerEvent is what following one call through the automaton takes.
	NsPerEvent float64 `json:"ns_per_event"`
	// Constant is the precision and recall of naming always the one function
	// that is in most units, of those that may have a signature: what a guess
	// that looks at nothing would reach.
	Constant float64 `json:"constant_guess"`
	// The same call by call: of the calls that tell a function, and of all
	// that a function of the program made. Innermost is the share of the right
	// ones that name the innermost function of the program.
	CallPrecision float64 `json:"call_precision"`
	CallRecall    float64 `json:"call_recall"`
	Innermost     float64 `json:"innermost"`
	// Units and Calls are how many were judged.
	Units int `json:"units"`
	Calls int `json:"calls"`
	// Confusions are what was told where something else ran, the most
	// frequent first.
	Confusions []Confusion `json:"confusions,omitempty"`
	Error      string      `json:"error,omitempty"`
}

// Confusion is a function that was told where another ran.
type Confusion struct {
	Told   string `json:"told"`
	Really string `json:"really"`
	Calls  int    `json:"calls"`
}

// maxConfusions bounds the list: the others are rarer still.
const maxConfusions = 10

// program is the records of one program in a recording.
type program struct {
	signature.Program
	batches []*threadtrace.Batch
	calls   int
}

// Evaluate mines the first half of a recording and matches the second. It takes
// the program with the most calls.
func Evaluate(path string) (Row, *signature.File, error) {
	programs, err := programsOf(path)
	if err != nil && !errors.Is(err, recording.ErrTruncated) {
		return Row{}, nil, err
	}
	if len(programs) == 0 {
		return Row{}, nil, fmt.Errorf("%s has no calls of a program with a build id", path)
	}
	p := slices.MaxFunc(programs, func(a, b *program) int { return cmp.Compare(a.calls, b.calls) })
	first, last := p.span()
	half := first + (last-first)/2
	m := signature.NewMiner(p.Arch, signature.Sequences)
	var test []*threadtrace.Batch
	for _, b := range p.batches {
		before, after := split(b, half)
		if len(before.Events) > 0 {
			m.Add(before)
		}
		if len(after.Events) > 0 {
			test = append(test, after)
		}
	}
	m.Finish()
	f := m.Mine(&signature.File{Program: p.Program})
	row := judge(f, test)
	row.NsPerEvent = timing(f, test)
	return row, f, nil
}

func programsOf(path string) ([]*program, error) {
	of := map[signature.Program]*program{}
	err := recording.Read(path, func(ld plog.Logs) error {
		for _, rl := range ld.ResourceLogs().All() {
			attrs := rl.Resource().Attributes()
			which := signature.ProgramOf(func(key string) string {
				if v, ok := attrs.Get(key); ok {
					return v.AsString()
				}
				return ""
			})
			if which.BuildID == "" {
				continue
			}
			p := of[which]
			if p == nil {
				p = &program{Program: which}
				of[which] = p
			}
			for _, sl := range rl.ScopeLogs().All() {
				errs := tracelog.Decode(sl.LogRecords(), tracelog.Handler{Arch: which.Arch, Batch: func(_ string, b *threadtrace.Batch) {
					p.batches = append(p.batches, b)
					p.calls += len(b.Events)
				}})
				if len(errs) > 0 {
					return errs[0]
				}
			}
		}
		return nil
	})
	return slices.Collect(maps.Values(of)), err
}

func (p *program) span() (first, last int64) {
	first = p.batches[0].Events[0].Time
	for _, b := range p.batches {
		for i := range b.Events {
			first, last = min(first, b.Events[i].Time), max(last, b.Events[i].Time)
		}
	}
	return first, last
}

// split cuts a batch at an instant.
func split(b *threadtrace.Batch, at int64) (before, after *threadtrace.Batch) {
	i, _ := slices.BinarySearchFunc(b.Events, at, func(e threadtrace.Event, at int64) int { return cmp.Compare(e.Time, at) })
	first, second := *b, *b
	first.Events, second.Events = b.Events[:i], b.Events[i:]
	return &first, &second
}

// repeats is how often the calls are followed to time it: enough for the
// clock not to matter, and long enough for the caches to be as in use.
const repeats = 5

func timing(f *signature.File, test []*threadtrace.Batch) float64 {
	m := signature.NewMatcher(f)
	threads := map[int32]*signature.Thread{}
	calls, took := 0, time.Duration(0)
	for range repeats {
		for _, b := range test {
			th := threads[b.ThreadID]
			if th == nil {
				th = &signature.Thread{}
				threads[b.ThreadID] = th
			}
			begun := time.Now()
			for i := range b.Events {
				if b.Events[i].Kind == threadtrace.KindCall {
					m.Next(th, &b.Events[i])
					calls++
				}
			}
			took += time.Since(begun)
		}
	}
	return float64(took.Nanoseconds()) / float64(max(1, calls))
}
