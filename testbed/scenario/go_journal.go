package scenario

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
)

// shelfJournal: a follower of a log file waits for the file to come back after
// a rotation, and does not pause between two attempts to open it.
//
// The mechanism of https://github.com/jwilder/dockerize/pull/108 (100 % CPU
// when a tailed file can't be read), https://github.com/dleung/gotail/issues/1
// and of the open that kubelet's fix for rotated logs had to retry with a
// pause, https://github.com/kubernetes/kubernetes/pull/118500.
func shelfJournal() Scenario {
	return Scenario{
		Name:   "shelf-journal",
		Title:  "a Go server spins on opening a journal that was rotated away",
		Server: "shelf", Language: Go, Kind: BusyFailingCall, Source: Own, Split: Tune,
		Quick:  true,
		Normal: "a document server in use; a worker follows the journal of what is read and written",
		Fault:  "logrotate moves the journal away and nobody tells the server: the worker opens the missing file again and again",
		// apps/shelf/journal/follower.go: the loop without a pause.
		Truth:    []string{shelfPackage + "journal.(*Follower).reopen"},
		Patterns: []string{"busy_loop_on_failing_call"},
		Start: func(ctx context.Context) (Workload, error) {
			s, err := startShelf(ctx)
			if err != nil {
				return Workload{}, err
			}
			return Workload{Server: s.Server, Load: s.load(), Fault: s.rotateJournal}, nil
		},
	}
}

// rotateJournal is a logrotate without its postrotate; end is the next one,
// which has it.
func (s *shelf) rotateJournal(context.Context) (func(), error) {
	path := filepath.Join(s.Dir, "data", "journal.log")
	if err := os.Rename(path, path+".1"); err != nil {
		return nil, err
	}
	return func() {
		// It fails when the server has ended already.
		_ = s.send(context.Background(), http.MethodPost, "/admin/reopen", nil)
	}, nil
}
