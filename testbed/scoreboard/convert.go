package scoreboard

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/perfscope/perfscope/testbed/runner"
	"github.com/perfscope/perfscope/testbed/scenario"
)

// Lengths of the intervals of thin recordings: of faults, so that hops can be formed at
// five phases, and of life, of which there is too much for that.
const (
	FaultInterval = time.Second
	LifeInterval  = 5 * time.Second
)

// Convert makes thin recordings of all that a corpus has, in folders of out, and says
// in log how large they are. What out has of other names stays.
func Convert(c Corpus, out string, log io.Writer) error {
	total := int64(0)
	for _, f := range c.recorded() {
		name := f.Scenario.Name
		l, err := readLabels(filepath.Join(f.Dir, name))
		if err != nil {
			return err
		}
		n, err := convert(&l, underTest(f.Scenario, &l.Labels), name, out, FaultInterval, log)
		if err != nil {
			return err
		}
		total += n
	}
	for _, life := range c.Life {
		l, err := readLabels(filepath.Dir(life.Path))
		if err != nil {
			return err
		}
		l.Split = life.Split
		want := l.ofLife()
		if sc, ok := healthy(life.Name); ok {
			want = underTest(sc, &l.Labels)
		}
		n, err := convert(&l, want, life.Name, out, LifeInterval, log)
		if err != nil {
			return err
		}
		total += n
	}
	fmt.Fprintf(log, "%d recordings of faults and %d of life in %s, %.1f MiB\n", len(c.recorded()), len(c.Life), out, float64(total)/(1<<20))
	return nil
}

func healthy(name string) (scenario.Scenario, bool) {
	for _, sc := range scenario.Healthy() {
		if sc.Name == name {
			return sc, true
		}
	}
	return scenario.Scenario{}, false
}

func convert(l *labels, want func(string, int64) bool, name, out string, length time.Duration, log io.Writer) (size int64, err error) {
	services, err := Thin(l.Recording, want, length)
	if err != nil {
		return 0, err
	}
	hours := 0.0
	for _, s := range services {
		if from, to, ok := s.span(); ok {
			hours += time.Duration(to - from).Hours()
		}
	}
	if hours == 0 {
		return 0, fmt.Errorf("%s: the recording has nothing of the processes that its labels name", name)
	}
	dir := filepath.Join(out, name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return 0, err
	}
	path := filepath.Join(dir, ThinName)
	if err := WriteThin(path, services); err != nil {
		return 0, err
	}
	// Whose processes they were is decided, and says nothing any more.
	kept := labels{Labels: runner.Labels{Scenario: name, Recording: ThinName, Start: l.Start, Onset: l.Onset, End: l.End, PIDs: []int{}}, Split: l.Split}
	if err := runner.WriteJSON(&kept, filepath.Join(dir, "labels.json")); err != nil {
		return 0, err
	}
	raw, thinned := sizeOf(l.Recording), sizeOf(path)
	fmt.Fprintf(log, "%-28s %8.1f kB -> %7.1f kB, %2d services, %6.2f instance-hours, %5.0f kB an hour\n",
		name, float64(raw)/1e3, float64(thinned)/1e3, len(services), hours, float64(thinned)/1e3/hours)
	return thinned, nil
}

func sizeOf(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}
