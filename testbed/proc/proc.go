// Package proc starts the programs of a testbed run and makes sure none of
// them outlives it: each one gets a process group of its own, is asked to end
// and then killed with its children, and dies with the testbed if that is
// killed itself.
package proc

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"syscall"
	"time"

	"github.com/perfscope/perfscope/testbed/host"
)

// Options say how to start a program.
type Options struct {
	// Path is the program, Args its arguments without the name.
	Path string
	Args []string
	// Dir is the working directory, empty for the caller's.
	Dir string
	// Env are variables added to the caller's environment.
	Env []string
	// Output receives standard output and error; its directory must exist.
	Output string
	// User runs the program under another account; empty for the caller's.
	User string
	// Host is where it runs; nil for this machine.
	Host *host.Host
}

// Process is a running program.
type Process struct {
	options Options
	cmd     *exec.Cmd
	done    chan struct{}
	err     error
}

// Start starts a program. Stop must be called, whatever becomes of it.
func Start(o Options) (*Process, error) {
	path, args := o.Host.Command(o.Path, o.Args, o.User)
	cmd := exec.Command(path, args...)
	cmd.Dir = o.Dir
	cmd.Env = append(os.Environ(), o.Env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if o.User != "" && o.Host == nil {
		id, err := Credential(o.User)
		if err != nil {
			return nil, err
		}
		cmd.SysProcAttr.Credential = id
	}
	out, err := os.OpenFile(o.Output, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", o.Path, err)
	}
	p := &Process{options: o, cmd: cmd, done: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// Options are what it was started with.
func (p *Process) Options() Options { return p.options }

// PID is the program's process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when the program has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err tells how the program ended; nil while it runs or when it exited with 0.
func (p *Process) Err() error {
	select {
	case <-p.done:
		return p.err
	default:
		return nil
	}
}

// Signal sends a signal to the program alone.
func (p *Process) Signal(s syscall.Signal) error { return p.cmd.Process.Signal(s) }

// Stop asks the program to end, waits up to patience, then kills it with all
// of its process group. It returns how the program ended.
func (p *Process) Stop(patience time.Duration) error {
	return p.StopWith(syscall.SIGTERM, patience)
}

// StopWith is Stop with another signal than SIGTERM.
func (p *Process) StopWith(s syscall.Signal, patience time.Duration) error {
	if err := p.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-p.done:
	case <-time.After(patience):
	}
	// The group outlives its leader when a child ignores the signal.
	_ = syscall.Kill(-p.PID(), syscall.SIGKILL)
	<-p.done
	return p.err
}

// Credential looks an account up.
func Credential(name string) (*syscall.Credential, error) {
	account, err := user.Lookup(name)
	if err != nil {
		return nil, err
	}
	uid, err := strconv.ParseUint(account.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(account.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}
