// Package server starts the real servers of the testbed: Debian's binaries, on
// a free port of the loopback interface, with their data in a directory of
// their own that goes away with them.
package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/perfscope/perfscope/testbed/host"
	"github.com/perfscope/perfscope/testbed/proc"
)

// building keeps two starts from building or installing one program at once.
var building sync.Mutex

// Server is a running server.
type Server struct {
	*proc.Process
	// Addr is host:port of the listener.
	Addr string
	// Dir holds the server's files.
	Dir string
	// Version is what the program says of itself.
	Version string

	stopSignal syscall.Signal // zero is SIGTERM
	host       *host.Host
	// probe reports whether it serves, log is where it says why it does not.
	probe func() error
	log   string
	// beside, if not nil, goes on while the process runs.
	beside func(*proc.Process)
}

// Stop ends the server and removes its files.
func (s *Server) Stop() error {
	err := s.StopWith(cmp.Or(s.stopSignal, syscall.SIGTERM), 5*time.Second)
	return errors.Join(ignoreExit(err), os.RemoveAll(s.Dir))
}

// ignoreExit drops "exited with 1", "killed by a signal": the server was told
// to end.
func ignoreExit(err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return nil
	}
	return err
}

// FreeAddr returns a loopback address nothing listens on.
func FreeAddr() (string, error) {
	var machine *host.Host
	return machine.Addr(0)
}

// FreePort returns the port of FreeAddr.
func FreePort() (int, error) {
	addr, err := FreeAddr()
	if err != nil {
		return 0, err
	}
	return port(addr), nil
}

func port(addr string) int {
	_, p, _ := net.SplitHostPort(addr)
	n, _ := strconv.Atoi(p)
	return n
}

// newDir makes a directory every account may pass through. It is on a disk
// (/var/tmp, by definition not a memory file system), because a server whose
// disk is memory has no slow writes.
func newDir(name string) (string, error) {
	dir, err := os.MkdirTemp("/var/tmp", "perfscope-"+name+"-")
	if err != nil {
		return "", err
	}
	return dir, os.Chmod(dir, 0o755)
}

// find returns the first program that exists: a name on PATH or in the
// directories of system programs, or a glob of absolute paths.
func find(candidates ...string) (string, error) {
	for _, c := range candidates {
		if !strings.HasPrefix(c, "/") {
			if path, err := exec.LookPath(c); err == nil {
				return path, nil
			}
			c = "/usr/sbin/" + c
		}
		if found, _ := filepath.Glob(c); len(found) > 0 {
			return found[len(found)-1], nil
		}
	}
	return "", fmt.Errorf("none of %s is installed: run `make deps`", strings.Join(candidates, ", "))
}

var versionNumber = regexp.MustCompile(`\d+\.\d[\d.]*`)

// version runs a program with its version flag and returns its name with the
// first number it prints: nginx 1.22.1.
func version(path string, args ...string) string {
	out, _ := exec.Command(path, args...).CombinedOutput()
	return strings.TrimSpace(filepath.Base(path) + " " + versionNumber.FindString(string(out)))
}

// Find returns the first of some programs that is installed: names on PATH, or
// globs of absolute paths.
func Find(candidates ...string) (string, error) { return find(candidates...) }

// Program is something that StartProgram starts.
type Program struct {
	// Name is that of its directory and log, Version what it is called.
	Name, Version string
	Path          string
	// Files, if not nil, gives the contents of the files that are written into
	// the server's directory before it starts, by name.
	Files func(addr, dir string) map[string]string
	// Args get the address and the server's directory.
	Args func(addr, dir string) []string
	Env  []string
	// Host is where it runs, nil for this machine; Port, there, where it
	// listens.
	Host *host.Host
	Port int
}

// StartProgram starts a program and waits until it listens.
func StartProgram(ctx context.Context, p Program) (*Server, error) {
	addr, err := p.Host.Addr(p.Port)
	if err != nil {
		return nil, err
	}
	dir, err := newDir(p.Name)
	if err != nil {
		return nil, err
	}
	if p.Files != nil {
		if err := writeAll(dir, p.Files(addr, dir)); err != nil {
			return nil, errors.Join(err, os.RemoveAll(dir))
		}
	}
	log := filepath.Join(dir, p.Name+".log")
	started, err := proc.Start(proc.Options{Path: p.Path, Args: p.Args(addr, dir), Dir: dir, Output: log, Host: p.Host, Env: p.Env})
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	s := &Server{Process: started, Addr: addr, Dir: dir, Version: p.Version, host: p.Host}
	err = s.waitReady(ctx, log, func() error {
		c, err := net.DialTimeout("tcp", addr, time.Second)
		if err != nil {
			return err
		}
		return c.Close()
	})
	if err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

// writeAll writes files that every account may read.
func writeAll(dir string, files map[string]string) error {
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// ownDir makes the directory "own" in a server's, for what it writes when it
// has given up root for an account.
func ownDir(dir, account string) (string, error) {
	own := filepath.Join(dir, "own")
	if err := os.Mkdir(own, 0o755); err != nil || os.Geteuid() != 0 {
		return own, err
	}
	id, err := proc.Credential(account)
	if err != nil {
		return own, err
	}
	return own, os.Chown(own, int(id.Uid), int(id.Gid))
}

// waitReady waits for a server that has been started, and keeps how it does so
// for the next start.
func (s *Server) waitReady(ctx context.Context, log string, probe func() error) error {
	s.log, s.probe = log, probe
	if s.beside != nil {
		go s.beside(s.Process)
	}
	return waitReady(ctx, s.Process, log, probe)
}

// readyTimeout is enough for a JVM on a machine that is busy.
const readyTimeout = time.Minute

// waitReady calls probe until it succeeds, the process ends or readyTimeout
// is over.
func waitReady(ctx context.Context, p *proc.Process, log string, probe func() error) error {
	deadline := time.Now().Add(readyTimeout)
	for {
		err := probe()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-p.Done():
			return fmt.Errorf("the server ended at once (%w): %s", p.Err(), tail(log))
		case <-time.After(50 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the server is not ready after %s: %w; %s", readyTimeout, err, tail(log))
		}
	}
}

func tail(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	return strings.Join(lines[max(0, len(lines)-5):], " | ")
}

// Descendants returns the process and everything that was forked from it, as
// /proc shows it now.
func Descendants(root int) []int {
	table, err := proc.ReadTable()
	if err != nil {
		return []int{root}
	}
	return table.Children().Of(root)
}
