package journal

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"os"
	"time"
)

// Follower reads a journal as it grows, like tail -F: whoever writes it may be
// another program, and logrotate may move it away.
type Follower struct {
	path  string
	event func(Event)
	log   *slog.Logger

	file *os.File
	r    *bufio.Reader
	part []byte // of a line whose end is not written yet
}

const followInterval = 100 * time.Millisecond

// NewFollower calls event for each event.
func NewFollower(path string, event func(Event), log *slog.Logger) *Follower {
	return &Follower{path: path, event: event, log: log}
}

// Run follows until ctx ends.
func (f *Follower) Run(ctx context.Context) {
	if !f.reopen(ctx) {
		return
	}
	defer func() { f.file.Close() }()
	tick := time.NewTicker(followInterval)
	defer tick.Stop()
	for {
		if err := f.drain(); err != nil {
			f.log.Warn("journal can't be read", "error", err)
		}
		if f.moved() {
			f.log.Info("journal was moved, opening it again", "path", f.path)
			if !f.reopen(ctx) {
				return
			}
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// drain reads the lines that are there.
func (f *Follower) drain() error {
	for {
		line, err := f.r.ReadBytes('\n')
		if err != nil {
			f.part = append(f.part, line...)
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		if len(f.part) > 0 {
			line = append(f.part, line...)
			f.part = nil
		}
		var e Event
		if err := json.Unmarshal(line, &e); err != nil {
			f.log.Warn("journal line ignored", "error", err)
			continue
		}
		f.event(e)
	}
}

// moved reports whether the name leads to another file than the open one, or
// to none.
func (f *Follower) moved() bool {
	open, err := f.file.Stat()
	if err != nil {
		return true
	}
	named, err := os.Stat(f.path)
	return err != nil || !os.SameFile(open, named)
}

// reopen opens the file as soon as it is there.
func (f *Follower) reopen(ctx context.Context) bool {
	for ctx.Err() == nil {
		file, err := os.Open(f.path)
		if err != nil {
			f.log.Debug("journal is not there yet", "error", err)
			continue
		}
		if f.file != nil {
			f.file.Close()
		}
		f.file, f.r, f.part = file, bufio.NewReader(file), nil
		return true
	}
	return false
}
