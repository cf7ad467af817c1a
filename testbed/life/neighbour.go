package life

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/perfscope/perfscope/testbed/proc"
)

// neighbour is a program beside the servers that uses what they share. It ends
// by itself even when nobody ends it.
func neighbour(ctx context.Context, h Happening) error {
	dir, err := os.MkdirTemp("/var/tmp", "perfscope-neighbour-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	p, err := proc.Start(proc.Options{
		Path: "/usr/bin/timeout", Args: []string{"-k", "1", fmt.Sprintf("%.1f", h.For.Seconds()), "/bin/sh", "-c", neighbourLine(h, dir)},
		Dir: dir, Output: filepath.Join(dir, "log"),
	})
	if err != nil {
		return err
	}
	select {
	case <-ctx.Done():
	case <-p.Done():
	}
	_ = p.Stop(time.Second) // timeout says so with an exit code
	return nil
}

// neighbourLine is what the shell runs.
func neighbourLine(h Happening, dir string) string {
	switch h.Kind {
	case CPU:
		line := "while :; do :; done"
		if h.Factor >= 2 {
			line = line + " & " + line
		}
		return line
	case Disk: // 32 MiB, at most twice a second, over and over
		return fmt.Sprintf("while :; do dd if=/dev/zero of=%s bs=1M count=32 conv=fsync,notrunc; sleep 0.5; done", filepath.Join(dir, "data"))
	default: // tail keeps all of a line, and this is one
		return fmt.Sprintf("(head -c %.0fM /dev/zero; sleep %.0f) | tail >/dev/null", min(h.Factor, maxMemory)*1024, h.For.Seconds())
	}
}
