package scoreboard

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/perfscope/perfscope/testbed/scenario"
)

// Options say how to judge a corpus.
type Options struct {
	// NewJudge makes the inference under test.
	NewJudge func(arch string) Judge
	// Phases are by how much the hops are moved; faults are judged at each of them,
	// life at none.
	Phases []time.Duration
	// Rates are how many false alarms a day of a service are asked for when life is
	// judged once more, and AtRate makes judges that are asked for so many.
	Rates  []float64
	AtRate func(perDay float64) func(arch string) Judge
	// Service, if it is set, is the only one that counts in life.
	Service string
	// Done is called after each recording, and once more for each of its Rates, from
	// one goroutine at a time.
	Done func(name string)
}

// Phases spreads n phases evenly over a hop. Thin recordings have whole seconds only:
// five.
func Phases(n int) []time.Duration {
	var at []time.Duration
	for i := range n {
		at = append(at, time.Duration(i)*time.Duration(hopLength)/time.Duration(n))
	}
	return at
}

// Judge judges a corpus, as many recordings at a time as there are CPUs. The board is
// that of all that could be read.
func (c *Corpus) Judge(o Options) (Board, error) {
	var (
		board   Board
		seconds = map[string]float64{}
		rates   = make([]rate, len(o.Rates))
		mu      sync.Mutex
		errs    []error
		tasks   []func()
	)
	done := func(name string, err error, add func()) {
		mu.Lock()
		defer mu.Unlock()
		add()
		if err != nil {
			errs = append(errs, err)
		}
		if o.Done != nil {
			o.Done(name)
		}
	}
	for _, f := range c.Faults {
		tasks = append(tasks, func() {
			rows, err := Fault(f.Scenario, f.Dir, o.Phases, o.NewJudge)
			done(f.Scenario.Name, err, func() { board.Rows = append(board.Rows, rows...) })
		})
	}
	for _, e := range c.External {
		tasks = append(tasks, func() {
			rows, err := e.Machine(o.Phases, o.NewJudge)
			done(e.Name, err, func() { board.External = append(board.External, rows...) })
		})
	}
	for _, l := range c.Life {
		tasks = append(tasks, func() {
			s, alarms, err := HealthyLife(l.Path, o.Service, o.NewJudge)
			for i := range alarms {
				alarms[i].Recording, alarms[i].Split = l.Name, string(l.Split)
			}
			done(l.Name, err, func() {
				seconds[string(l.Split)] += s
				board.Alarms = append(board.Alarms, alarms...)
			})
		})
		for i, asked := range o.Rates {
			tasks = append(tasks, func() {
				s, alarms, err := HealthyLife(l.Path, o.Service, o.AtRate(asked))
				done(fmt.Sprintf("%s, asked for %.3g alarms a day", l.Name, asked), err, func() {
					rates[i].seconds += s
					rates[i].alarms += len(alarms)
				})
			})
		}
	}
	inParallel(tasks)
	board.sum(seconds)
	board.Calibration = calibration(o.Rates, rates)
	return board, errors.Join(errs...)
}

func inParallel(tasks []func()) {
	queue := make(chan func())
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for task := range queue {
				task()
			}
		})
	}
	for _, task := range tasks {
		queue <- task
	}
	close(queue)
	workers.Wait()
}

// sum sorts the rows and sums them up; seconds are those of life, by split.
func (b *Board) sum(seconds map[string]float64) {
	slices.SortFunc(b.Rows, func(a, b FaultRow) int {
		return cmp.Or(cmp.Compare(a.Split, b.Split), cmp.Compare(a.Scenario, b.Scenario), cmp.Compare(a.Phase, b.Phase))
	})
	slices.SortFunc(b.Alarms, func(a, b Alarm) int {
		return cmp.Or(cmp.Compare(a.Recording, b.Recording), cmp.Compare(a.Seconds, b.Seconds), cmp.Compare(a.Service, b.Service), cmp.Compare(a.Instance, b.Instance))
	})
	b.Faults, b.ByLanguage, b.HealthyBySplit = map[string]Faults{}, map[string]Faults{}, map[string]Healthy{}
	groups, languages, alarms := map[string][]FaultRow{}, map[string][]FaultRow{}, map[string]int{}
	for _, a := range b.Alarms {
		alarms[a.Split]++
	}
	for _, r := range b.Rows {
		groups[r.Split] = append(groups[r.Split], r)
		languages[r.Language] = append(languages[r.Language], r)
		if r.Phase == 0 { // the same life at every phase
			seconds[r.Split] += r.HealthySeconds
			alarms[r.Split] += r.Before
		}
	}
	for name, rows := range groups {
		b.Faults[name] = Summarize(rows)
	}
	for name, rows := range languages {
		b.ByLanguage[name] = Summarize(rows)
	}
	for _, r := range b.External {
		if r.Phase == 0 {
			seconds[string(scenario.Report)] += r.HealthySeconds
			alarms[string(scenario.Report)] += r.Before
		}
	}
	b.Causes = b.sumCauses()
	all, told := 0.0, 0
	for _, split := range []scenario.Split{scenario.Tune, scenario.Report} {
		s, n := seconds[string(split)], alarms[string(split)]
		b.HealthyBySplit[string(split)] = NewHealthy(s, n)
		all, told = all+s, told+n
	}
	b.Healthy = NewHealthy(all, told)
}

// rate is what a judge that was asked for a rate gave.
type rate struct {
	seconds float64
	alarms  int
}

func calibration(asked []float64, got []rate) []Calibration {
	curve := []Calibration{}
	for i, r := range got {
		if r.seconds > 0 {
			curve = append(curve, Calibration{AskedPerDay: asked[i], GotPerDay: NewHealthy(r.seconds, r.alarms).PerDay})
		}
	}
	return curve
}

// Thin reports whether a recording of the corpus is thin.
func (c *Corpus) Thin() bool {
	for _, l := range c.Life {
		if IsThin(l.Path) {
			return true
		}
	}
	for _, f := range c.recorded() {
		if l, err := readLabels(filepath.Join(f.Dir, f.Scenario.Name)); err == nil && IsThin(l.Recording) {
			return true
		}
	}
	return false
}
