package runner

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/perfscope/perfscope/testbed/agent"
	"github.com/perfscope/perfscope/testbed/baseline"
	"github.com/perfscope/perfscope/testbed/scenario"
)

// Labels say what a recording shows, so that it can be judged again without
// the server.
type Labels struct {
	Scenario string `json:"scenario"`
	// Recording is the file of raw records.
	Recording string `json:"recording"`
	// Start and End bound the run; Onset is when the fault was turned on,
	// zero in a run without one.
	Start time.Time `json:"start"`
	Onset time.Time `json:"onset"`
	End   time.Time `json:"end"`
	// PIDs are the server's processes, children that have ended among them.
	PIDs []int `json:"pids"`
	// Ports are where it and those beside it listen.
	Ports []string `json:"ports,omitempty"`
}

// settle is how long after the onset, and before the end of the learning, a
// phase is left out of the question: the fault takes a moment to show.
const settle = time.Second

// Question is what to ask the recording for the ranks of other means. They are
// told the two phases.
func (l *Labels) Question(truth []string) baseline.Question {
	q := baseline.Question{
		PIDs:   map[int]bool{},
		Normal: baseline.Span{From: l.Start.UnixNano(), To: l.Onset.Add(-settle).UnixNano()},
		Slow:   baseline.Span{From: l.Onset.Add(settle).UnixNano(), To: l.End.UnixNano()},
		Truth:  truth,
	}
	for _, pid := range l.PIDs {
		q.PIDs[pid] = true
	}
	return q
}

// about reports whether an anomaly is about the server under test or one beside
// it: the machine may run others. A server of several processes is known by its
// service's name, and by where it listens if that is known: another scenario may run one
// of the same name.
func (l *Labels) about(sc scenario.Scenario, a agent.Anomaly) bool {
	if a.PID != 0 {
		return slices.Contains(l.PIDs, a.PID)
	}
	here := func(address string) bool { return slices.Contains(l.Ports, port(address)) }
	if len(l.Ports) > 0 && len(a.Listening) > 0 && !slices.ContainsFunc(a.Listening, here) {
		return false
	}
	return a.Service == sc.Server || slices.Contains(sc.Beside, a.Service)
}

func port(address string) string { return address[strings.LastIndexByte(address, ':')+1:] }

// maxPIDs bounds the processes of a server that starts one per connection.
const maxPIDs = 4096

func (l *Labels) note(pids []int) {
	for _, pid := range pids {
		if len(l.PIDs) < maxPIDs && !slices.Contains(l.PIDs, pid) {
			l.PIDs = append(l.PIDs, pid)
		}
	}
}

// Save writes the labels beside the recording.
func (l *Labels) Save(dir string) error { return WriteJSON(l, filepath.Join(dir, "labels.json")) }

// LoadLabels reads what Save wrote.
func LoadLabels(dir string) (Labels, error) {
	var l Labels
	data, err := os.ReadFile(filepath.Join(dir, "labels.json"))
	if err != nil {
		return l, err
	}
	if err := json.Unmarshal(data, &l); err != nil {
		return l, fmt.Errorf("%s: %w", dir, err)
	}
	if l.Recording == "" {
		return l, fmt.Errorf("%s: the last run was not recorded; eval records", dir)
	}
	// The directory may have been moved.
	l.Recording = filepath.Join(dir, filepath.Base(l.Recording))
	return l, nil
}
