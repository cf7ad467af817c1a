// Package journal writes down what happens to documents, a JSON object in
// each line, for other programs and for the figures of the last days.
package journal

import (
	"bufio"
	"encoding/json"
	"errors"
	"os"
	"sync"
	"time"
)

// Event is a line of the journal.
type Event struct {
	Time   time.Time `json:"time"`
	Action string    `json:"action"`
	ID     string    `json:"id"`
	Client string    `json:"client,omitempty"`
	Bytes  int       `json:"bytes,omitempty"`
}

// Journal appends events to a file.
type Journal struct {
	path string
	stop chan struct{}
	done sync.WaitGroup

	mu   sync.Mutex
	file *os.File
	w    *bufio.Writer
}

// Open opens a journal, whose lines reach the file after flushEvery at most.
func Open(path string, flushEvery time.Duration) (*Journal, error) {
	j := &Journal{path: path, stop: make(chan struct{})}
	if err := j.Reopen(); err != nil {
		return nil, err
	}
	j.done.Go(func() { j.flushLoop(flushEvery) })
	return j, nil
}

// Path is the journal's file.
func (j *Journal) Path() string { return j.path }

// Append adds an event.
func (j *Journal) Append(e Event) error {
	e.Time = time.Now().UTC()
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	_, err = j.w.Write(append(line, '\n'))
	return err
}

// Reopen opens the file by its name again, after it was moved away.
func (j *Journal) Reopen() error {
	f, err := os.OpenFile(j.path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.file != nil {
		err = errors.Join(j.w.Flush(), j.file.Close())
	}
	j.file, j.w = f, bufio.NewWriterSize(f, 16<<10)
	return err
}

// Close writes the rest and closes the file.
func (j *Journal) Close() error {
	close(j.stop)
	j.done.Wait()
	j.mu.Lock()
	defer j.mu.Unlock()
	return errors.Join(j.w.Flush(), j.file.Close())
}

func (j *Journal) flushLoop(every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-j.stop:
			return
		case <-tick.C:
			j.flush()
		}
	}
}

func (j *Journal) flush() {
	j.mu.Lock()
	defer j.mu.Unlock()
	_ = j.w.Flush() // the writer keeps the error for the next Append
}
