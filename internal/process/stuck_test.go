//go:build linux

package process

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// TestStuckProcessDoesNotHoldUpTheScan has a process whose command line cannot
// be read: a pipe nobody writes to is waited for like a lock.
func TestStuckProcessDoesNotHoldUpTheScan(t *testing.T) {
	proc := newFakeProc(t)
	proc.add(fakeProcess{pid: 10, exe: "/bin/a", cmdline: []string{"/bin/a", "wanted"}})
	proc.add(fakeProcess{pid: 20, exe: "/bin/b", cmdline: []string{"/bin/b", "wanted"}})
	d, err := New(Config{Root: proc.root, Targets: []Rule{{Command: "wanted"}}, Host: &Host{}})
	if err != nil {
		t.Fatal(err)
	}
	d.fs.door.Timeout = 20 * time.Millisecond
	if _, err := d.Scan(); err != nil || len(d.Processes()) != 2 {
		t.Fatal(d.Processes(), err)
	}
	pipe := filepath.Join(proc.root, "10/cmdline")
	if err := os.Remove(pipe); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	proc.add(fakeProcess{pid: 30, exe: "/bin/c", cmdline: []string{"/bin/c", "wanted"}})
	for i := range 3 {
		done := make(chan Changes)
		go func() {
			ch, _ := d.Scan()
			done <- ch
		}()
		select {
		case ch := <-done:
			if (ch.Stuck != nil) != (i == 0) {
				t.Errorf("scan %d says %v", i, ch.Stuck)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("the scan hangs")
		}
	}
	if len(d.Processes()) != 3 {
		t.Errorf("found %v: a stuck target stays one, and others are found", d.Processes())
	}
	if n := d.Stuck(); n != 1 {
		t.Errorf("%d reads hung", n)
	}
	let, err := os.OpenFile(pipe, os.O_WRONLY, 0) // lets the reader go
	if err != nil {
		t.Fatal(err)
	}
	_ = let.Close()
}
