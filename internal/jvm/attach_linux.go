package jvm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/perfscope/perfscope/internal/cleantext"
	"github.com/perfscope/perfscope/internal/rootfs"
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
	// maxRefusal is how much of an answer is told (bytes).
	maxRefusal = 200
)

// WritePerfMap has the JVM of a process write its perf map. All that is looked
// at or connected to is found through the door, in the JVM's own root. Without an attach socket the JVM is
// asked to open one, by the file and the SIGQUIT that every such tool uses; a JVM
// that would not take the signal (-Xrs) is left alone.
func WritePerfMap(ctx context.Context, door *rootfs.Door, pid int32) error {
	t, err := look(door, pid)
	if err != nil {
		return err
	}
	c, err := door.Dial(ctx, pid, t.socket())
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ECONNREFUSED) {
		c, err = t.open(ctx)
	}
	if err != nil {
		return fmt.Errorf("the JVM's attach socket: %w", err)
	}
	return command(c, "jcmd", "Compiler.perfmap")
}

// target is a JVM as its proc files show it.
type target struct {
	door        *rootfs.Door
	pid, inside int32 // inside is its pid as it sees it itself
	// takesQuit is set when the process handles SIGQUIT: it would end otherwise.
	takesQuit bool
}

func look(door *rootfs.Door, pid int32) (*target, error) {
	status, err := door.Read(pid, "status", maxAnswer)
	if err != nil {
		return nil, err
	}
	t := &target{door: door, pid: pid, inside: pid}
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
				return nil, fmt.Errorf("process %d: NSpid is %q", pid, value)
			}
			t.inside = int32(n)
		case "SigCgt":
			mask, err := strconv.ParseUint(fields[0], 16, 64)
			if err != nil {
				return nil, fmt.Errorf("process %d: SigCgt is %q", pid, value)
			}
			t.takesQuit = mask&(1<<(syscall.SIGQUIT-1)) != 0
		}
	}
	return t, nil
}

func (t *target) socket() string { return fmt.Sprintf("/tmp/.java_pid%d", t.inside) }

// open asks the JVM for its socket and connects to it: when it gets SIGQUIT it
// looks for a file of this name, and prints its threads if there is none.
func (t *target) open(ctx context.Context) (net.Conn, error) {
	if !t.takesQuit {
		return nil, errors.New("the JVM has none and does not handle SIGQUIT (-Xrs): start it with -XX:+StartAttachListener")
	}
	process, err := unix.PidfdOpen(int(t.pid), 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = unix.Close(process) }()
	remove, err := t.door.Mark(t.pid, fmt.Sprintf("/tmp/.attach_pid%d", t.inside))
	if err != nil {
		return nil, fmt.Errorf("the JVM can't be asked for it: %w", err)
	}
	defer remove()
	if err := unix.PidfdSendSignal(process, unix.SIGQUIT, nil, 0); err != nil {
		return nil, fmt.Errorf("the JVM can't be asked for it: %w (signals to another account's process need CAP_KILL)", err)
	}
	until := time.Now().Add(attachFor)
	for {
		c, err := t.door.Dial(ctx, t.pid, t.socket())
		if err == nil || rootfs.IsStuck(err) {
			return c, err
		}
		if time.Now().After(until) {
			return nil, fmt.Errorf("the JVM did not open it within %s: it was started with -XX:+DisableAttachMechanism, or is stuck", attachFor)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// command sends a command with one argument of the three that the
// protocol has, each ended by a zero byte; the answer begins with the result.
func command(c net.Conn, name, argument string) error {
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
	return judge(string(answer), argument)
}

// judge reads an answer: its first line is the result, zero if all went well.
func judge(answer, argument string) error {
	result, text, _ := strings.Cut(answer, "\n")
	if result != "0" {
		return fmt.Errorf("the JVM refuses %s: %s (it needs JDK 17 or newer)", argument, cleantext.Clean(result+" "+text, maxRefusal))
	}
	return nil
}
