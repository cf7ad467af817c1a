package journal

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A follower goes on after the journal was rotated.
func TestFollowerAfterRotation(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.log")
	j, err := Open(path, time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	events := make(chan Event, 10)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		NewFollower(path, func(e Event) { events <- e }, slog.New(slog.DiscardHandler)).Run(ctx)
	}()
	defer func() { cancel(); <-done }()

	expect := func(id string) {
		t.Helper()
		if err := j.Append(Event{Action: "write", ID: id}); err != nil {
			t.Fatal(err)
		}
		select {
		case e := <-events:
			if e.ID != id {
				t.Fatalf("got %q, want %q", e.ID, id)
			}
		case <-time.After(5 * time.Second):
			t.Fatalf("%q was not seen", id)
		}
	}
	expect("before")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	if err := j.Reopen(); err != nil {
		t.Fatal(err)
	}
	expect("after")
}
