package jvm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// attachFor is how long a JVM is given to open its socket: it does so in a
	// few milliseconds, at its next safepoint when it is busy.
	attachFor = 5 * time.Second
	// answerFor is how long it is given to answer. A map of 50,000 functions
	// takes a few tens of milliseconds.
	answerFor = 10 * time.Second
	// maxAnswer bounds what is read of an answer (bytes).
	maxAnswer = 64 << 10
)

// WritePerfMap has the JVM of a process write its perf map. proc is where the
// proc file system is, "/proc" but for tests. Without an attach socket the JVM is
// asked to open one, by the file and the SIGQUIT that every such tool uses; a JVM
// that would not take the signal (-Xrs) is left alone.
func WritePerfMap(ctx context.Context, proc string, pid int32) error {
	t, err := look(proc, pid)
	if err != nil {
		return err
	}
	if !isSocket(t.socket()) {
		if err := t.open(ctx); err != nil {
			return err
		}
	}
	return t.command(ctx, "jcmd", "Compiler.perfmap")
}

// target is a JVM as its proc files show it.
type target struct {
	pid, inside int32 // inside is its pid as it sees it itself
	tmp         string
	// takesQuit is set when the process handles SIGQUIT: it would end otherwise.
	takesQuit bool
}

func look(proc string, pid int32) (*target, error) {
	dir := filepath.Join(proc, strconv.Itoa(int(pid)))
	status, err := os.ReadFile(filepath.Join(dir, "status"))
	if err != nil {
		return nil, err
	}
	t := &target{pid: pid, inside: pid, tmp: filepath.Join(dir, "root", "tmp")}
	for line := range strings.Lines(string(status)) {
		key, value, _ := strings.Cut(line, ":")
		fields := strings.Fields(value)
		if len(fields) == 0 {
			continue
		}
		switch key {
		case "NSpid":
			n, err := strconv.ParseInt(fields[len(fields)-1], 10, 32)
			if err != nil {
				return nil, fmt.Errorf("%s: NSpid is %q", dir, value)
			}
			t.inside = int32(n)
		case "SigCgt":
			mask, err := strconv.ParseUint(fields[0], 16, 64)
			if err != nil {
				return nil, fmt.Errorf("%s: SigCgt is %q", dir, value)
			}
			t.takesQuit = mask&(1<<(syscall.SIGQUIT-1)) != 0
		}
	}
	return t, nil
}

func (t *target) socket() string { return filepath.Join(t.tmp, fmt.Sprintf(".java_pid%d", t.inside)) }

func isSocket(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.Mode().Type() == os.ModeSocket
}

// open asks the JVM for its socket: when it gets SIGQUIT it looks for a file of
// this name, and prints its threads if there is none.
func (t *target) open(ctx context.Context) error {
	if !t.takesQuit {
		return errors.New("the JVM has no attach socket and does not handle SIGQUIT (-Xrs): start it with -XX:+StartAttachListener")
	}
	ask := filepath.Join(t.tmp, fmt.Sprintf(".attach_pid%d", t.inside))
	f, err := os.OpenFile(ask, os.O_CREATE|os.O_EXCL|os.O_WRONLY|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return fmt.Errorf("the JVM can't be asked for its attach socket: %w", err)
	}
	_ = f.Close()
	defer func() { _ = os.Remove(ask) }()
	process, err := unix.PidfdOpen(int(t.pid), 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(process) }()
	if err := unix.PidfdSendSignal(process, unix.SIGQUIT, nil, 0); err != nil {
		return fmt.Errorf("the JVM can't be asked for its attach socket: %w (signals to another account's process need CAP_KILL)", err)
	}
	until := time.Now().Add(attachFor)
	for !isSocket(t.socket()) {
		if time.Now().After(until) {
			return fmt.Errorf("the JVM did not open its attach socket within %s: it was started with -XX:+DisableAttachMechanism, or is stuck", attachFor)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
	return nil
}

// command sends a command with one argument of the three that the
// protocol has, each ended by a zero byte; the answer begins with the result.
func (t *target) command(ctx context.Context, name, argument string) error {
	d := net.Dialer{Timeout: time.Second}
	c, err := d.DialContext(ctx, "unix", t.socket())
	if err != nil {
		return fmt.Errorf("the JVM's attach socket: %w", err)
	}
	defer func() { _ = c.Close() }()
	if err := c.SetDeadline(time.Now().Add(answerFor)); err != nil {
		return err
	}
	if _, err := io.WriteString(c, "1\x00"+name+"\x00"+argument+"\x00\x00\x00"); err != nil {
		return fmt.Errorf("the JVM's attach socket: %w", err)
	}
	answer, err := io.ReadAll(io.LimitReader(c, maxAnswer))
	if err != nil {
		return fmt.Errorf("the JVM did not answer: %w", err)
	}
	result, text, _ := strings.Cut(string(answer), "\n")
	if result != "0" {
		return fmt.Errorf("the JVM refuses %s: %.200s (it needs JDK 17 or newer)", argument, strings.TrimSpace(result+" "+text))
	}
	return nil
}
