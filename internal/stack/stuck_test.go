//go:build linux

package stack

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/perfscope/perfscope/internal/rootfs"
)

// TestStuckProcess has a process whose memory map nobody can read.
func TestStuckProcess(t *testing.T) {
	now := time.Now()
	u := NewUnwinder(Options{Now: func() time.Time { return now }})
	u.door.Timeout = 20 * time.Millisecond
	self, parent := int32(os.Getpid()), int32(os.Getppid())
	unwind := func(pid int32) error {
		_, err := u.Unwind(pid, Registers{IP: 0x10, SP: 0x1000}, Copy{})
		return err
	}
	if err := unwind(parent); err != nil {
		t.Fatal(err)
	}
	let := make(chan struct{})
	defer close(let)
	readable := u.readMaps
	u.readMaps = func(pid int32) ([]byte, error) {
		if pid == self {
			return readable(pid)
		}
		return rootfs.Do(u.door, pid, func() ([]byte, error) {
			<-let
			return nil, nil
		})
	}
	// What is known of a process outlasts that it is stuck.
	now = now.Add(2 * staleAfter)
	for range 3 {
		if err := unwind(parent); err != nil {
			t.Error(err)
		}
	}
	if err := unwind(1); !errors.Is(err, rootfs.ErrStuck) {
		t.Errorf("got %v", err)
	}
	if err := unwind(1); !errors.Is(err, rootfs.ErrQuarantined) {
		t.Errorf("got %v", err)
	}
	if err := unwind(self); err != nil {
		t.Errorf("another process: %v", err)
	}
	if n := u.Stats().Stuck; n != 2 {
		t.Errorf("%d counted", n)
	}
}
