package life

import (
	"encoding/json"
	"os"
	"slices"
	"sync"
	"time"
)

// Entry is a line of life.jsonl: something that happened. There is one when it
// begins, without End, and one when it is over.
type Entry struct {
	ID    int       `json:"id"`
	Start time.Time `json:"start"`
	End   time.Time `json:"end,omitzero"`
	Kind  Kind      `json:"kind"`
	// Instance and Service are empty for what happened to the machine;
	// Instance is for a Rolling.
	Instance string  `json:"instance,omitempty"`
	Service  string  `json:"service,omitempty"`
	Factor   float64 `json:"factor,omitempty"`
	// Error says why it did not come about.
	Error string `json:"error,omitempty"`
}

// concerns reports whether an instance may feel it.
func (e *Entry) concerns(in *instance) bool {
	switch {
	case e.Service == "":
		return true
	case e.Instance == "":
		return e.Service == in.Scenario.Server
	}
	return e.Instance == in.Name
}

// journal writes down what happens, and keeps it.
type journal struct {
	mu      sync.Mutex
	file    *os.File
	entries []Entry
	err     error
}

func newJournal(path string) (*journal, error) {
	f, err := os.Create(path)
	return &journal{file: f}, err
}

func (j *journal) begin(e Entry) (id int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	e.ID, e.Start = len(j.entries)+1, time.Now()
	j.entries = append(j.entries, e)
	j.write(e)
	return e.ID
}

func (j *journal) end(id int, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	e := &j.entries[id-1]
	e.End = time.Now()
	if err != nil {
		e.Error = err.Error()
	}
	j.write(*e)
}

// at writes down what has no length.
func (j *journal) at(e Entry, err error) { j.end(j.begin(e), err) }

func (j *journal) write(e Entry) {
	line, err := json.Marshal(e)
	if err == nil {
		_, err = j.file.Write(append(line, '\n'))
	}
	if j.err == nil {
		j.err = err
	}
}

// count gives how many there were, and how many go on.
func (j *journal) count() (all, now int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for i := range j.entries {
		if j.entries[i].End.IsZero() {
			now++
		}
	}
	return len(j.entries), now
}

// around are what was going on at an instance or on the machine at some time in
// the minute before an instant.
func (j *journal) around(in *instance, at time.Time) []Entry {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(j.entries), func(e Entry) bool {
		over := !e.End.IsZero() && e.End.Before(at.Add(-time.Minute))
		return over || e.Start.After(at) || !e.concerns(in)
	})
}

func (j *journal) close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.file.Close(); j.err == nil {
		j.err = err
	}
	return j.err
}
