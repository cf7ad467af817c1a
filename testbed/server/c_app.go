package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/perfscope/perfscope/testbed/client"
	"github.com/perfscope/perfscope/testbed/proc"
)

// buildC compiles testbed/apps/<name> into testbed/bin/<name>, unless the
// program is newer than its sources, and returns its path. The flags are what
// a distribution's package has: optimised, no frame pointers; not stripped.
func buildC(ctx context.Context, name string) (string, error) {
	building.Lock()
	defer building.Unlock()
	root, err := Repository()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(root, "testbed", "apps", name)
	sources, err := filepath.Glob(filepath.Join(dir, "*.[ch]"))
	if err != nil {
		return "", err
	}
	if len(sources) == 0 {
		return "", fmt.Errorf("%s has no sources", dir)
	}
	program := filepath.Join(root, "testbed", "bin", name)
	if upToDate(program, sources) {
		return program, nil
	}
	if err := os.MkdirAll(filepath.Dir(program), 0o755); err != nil {
		return "", err
	}
	// Renamed at the end: a program that runs can't be written to.
	args := []string{"-O2", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-pthread", "-o", program + ".new"}
	for _, s := range sources {
		if strings.HasSuffix(s, ".c") {
			args = append(args, s)
		}
	}
	if out, err := exec.CommandContext(ctx, "cc", args...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("cc %s: %w: %s", name, err, out)
	}
	return program, os.Rename(program+".new", program)
}

func upToDate(program string, sources []string) bool {
	built, err := os.Stat(program)
	if err != nil {
		return false
	}
	for _, s := range sources {
		if info, err := os.Stat(s); err != nil || info.ModTime().After(built.ModTime()) {
			return false
		}
	}
	return true
}

// CApp is one of the testbed's own servers in C.
type CApp struct {
	*Server
	// Admin is host:port of its admin commands.
	Admin string
}

// StartCourier starts the message relay of testbed/apps/courier; settings are
// lines of its configuration ("lease 500").
func StartCourier(ctx context.Context, settings ...string) (*CApp, error) {
	admin, err := FreeAddr()
	if err != nil {
		return nil, err
	}
	return startC(ctx, "courier", admin, nil, append(settings, fmt.Sprintf("admin.port %d", port(admin))), func(addr string) error {
		c, err := client.DialCourier(addr)
		if err != nil {
			return err
		}
		defer c.Close()
		_, err = c.Do("PING", nil, "")
		return err
	})
}

// StartDepot starts the catalogue of testbed/apps/depot, whose admin commands
// come over its own port; fill writes its data into its directory first.
func StartDepot(ctx context.Context, fill func(dir string) error, settings ...string) (*CApp, error) {
	return startC(ctx, "depot", "", fill, settings, func(addr string) error {
		c, err := net.DialTimeout("tcp", addr, time.Second)
		if err != nil {
			return err
		}
		return c.Close()
	})
}

// StartClerk starts the small server of testbed/apps/clerk with a number of
// threads; backend is the address of the service that has its rates.
func StartClerk(ctx context.Context, workers int, backend string) (*Server, error) {
	s, err := startC(ctx, "clerk", "", nil, []string{fmt.Sprintf("workers %d", workers), fmt.Sprintf("backend %d", port(backend))}, dialOnce)
	if err != nil {
		return nil, err
	}
	return s.Server, nil
}

func startC(ctx context.Context, name, admin string, fill func(dir string) error, settings []string, ready func(addr string) error) (*CApp, error) {
	program, err := buildC(ctx, name)
	if err != nil {
		return nil, err
	}
	addr, err := FreeAddr()
	if err != nil {
		return nil, err
	}
	dir, err := newDir(name)
	if err != nil {
		return nil, err
	}
	fail := func(err error) (*CApp, error) {
		os.RemoveAll(dir)
		return nil, err
	}
	if fill != nil {
		if err := fill(dir); err != nil {
			return fail(err)
		}
	}
	lines := append([]string{"dir " + dir, fmt.Sprintf("port %d", port(addr))}, settings...)
	conf := filepath.Join(dir, name+".conf")
	if err := os.WriteFile(conf, []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
		return fail(err)
	}
	log := filepath.Join(dir, name+".out")
	p, err := proc.Start(proc.Options{
		Path: program, Args: []string{"-c", conf}, Dir: dir, Output: log, Env: []string{"OTEL_SERVICE_NAME=" + name},
	})
	if err != nil {
		return fail(err)
	}
	s := &Server{Process: p, Addr: addr, Dir: dir, Version: name}
	if admin == "" {
		admin = addr
	}
	if err := s.waitReady(ctx, log, func() error { return ready(addr) }); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return &CApp{Server: s, Admin: admin}, nil
}
