package scoreboard

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/perfscope/perfscope/testbed/runner"
	"github.com/perfscope/perfscope/testbed/scenario"
)

// Corpus is recordings whose truth is known: folders of a name each, with labels.json
// and the recording.
type Corpus struct {
	// Faults have the scenarios with the folder that holds theirs.
	Faults []Recorded
	// External have those of causes that are nobody's code.
	External []External
	// Life are recordings of services with nothing wrong.
	Life []Life
}

// Recorded is the recording of a scenario: Dir/Scenario.Name.
type Recorded struct {
	Scenario scenario.Scenario
	Dir      string
}

// Life is a recording of services with nothing wrong.
type Life struct {
	Name, Path string
	// Split is the half that it belongs to.
	Split scenario.Split
}

// OpenCorpus lists what folders hold; of what several have the first counts. only
// chooses by name, nil is everything.
func OpenCorpus(folders, only []string) (Corpus, error) {
	var c Corpus
	scenarios := map[string]scenario.Scenario{}
	for _, sc := range append(scenario.All(), scenario.Healthy()...) {
		scenarios[sc.Name] = sc
	}
	seen := map[string]bool{}
	for _, folder := range folders {
		entries, err := os.ReadDir(folder)
		if err != nil {
			return c, fmt.Errorf("the corpus cannot be read: %w; -corpus says where it is", err)
		}
		for _, e := range entries {
			name := e.Name()
			if !e.IsDir() || seen[name] || len(only) > 0 && !slices.Contains(only, name) {
				continue
			}
			labels, err := readLabels(filepath.Join(folder, name))
			if errors.Is(err, os.ErrNotExist) {
				continue
			}
			if err != nil {
				return c, err
			}
			seen[name] = true
			sc, known := scenarios[name]
			external, machine := machineCase(name)
			switch {
			case labels.Recording == "":
			case machine:
				c.External = append(c.External, External{external, folder})
			case known && len(sc.Steps) == 0 && !labels.Onset.IsZero():
				c.Faults = append(c.Faults, Recorded{sc, folder})
			case len(labels.Instances) > 0 || labels.Split != "" || known:
				c.Life = append(c.Life, Life{Name: name, Path: labels.Recording, Split: labels.Split})
			}
		}
	}
	if len(c.Faults)+len(c.External)+len(c.Life) == 0 {
		return c, fmt.Errorf("no recording in %v; `make eval` and `make record-life` make some", folders)
	}
	share(c.Life)
	return c, nil
}

// share gives what has no half yet the half that has fewer.
func share(life []Life) {
	n := map[scenario.Split]int{}
	for _, l := range life {
		n[l.Split]++
	}
	for i := range life {
		if life[i].Split == "" {
			life[i].Split = scenario.Tune
			if n[scenario.Report] < n[scenario.Tune] {
				life[i].Split = scenario.Report
			}
			n[life[i].Split]++
		}
	}
}

// labels are those of a fault or of a life.
type labels struct {
	runner.Labels
	// Split is the half to which a life belongs.
	Split     scenario.Split `json:"split,omitempty"`
	Instances []instance     `json:"instances,omitempty"`
}

type instance struct {
	PIDs []int64 `json:"pids"`
}

// readLabels reads labels.json of a folder. The folder may have been moved: the
// recording is in it.
func readLabels(dir string) (labels, error) {
	var l labels
	data, err := os.ReadFile(filepath.Join(dir, "labels.json"))
	if err != nil {
		return l, err
	}
	if err := json.Unmarshal(data, &l); err != nil {
		return l, fmt.Errorf("%s: labels.json: %w", dir, err)
	}
	if l.Recording != "" {
		l.Recording = filepath.Join(dir, filepath.Base(l.Recording))
	}
	return l, nil
}

// ofLife accepts the processes that labels name: the machine may run others. It is nil
// when they name none.
func (l *labels) ofLife() func(name string, pid int64) bool {
	known := map[int64]bool{}
	for _, pid := range l.PIDs {
		known[int64(pid)] = true
	}
	for _, i := range l.Instances {
		for _, pid := range i.PIDs {
			known[pid] = true
		}
	}
	if len(known) == 0 {
		return nil
	}
	return func(_ string, pid int64) bool { return known[pid] }
}
