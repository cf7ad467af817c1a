package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/perfscope/perfscope/testbed/proc"
)

// SlowWay is which requests of a server go a slow way, and which way that is.
type SlowWay struct {
	Way      string
	Permille int
	// Upstream is who it asks.
	Upstream string
}

// StartKiosk starts the testbed's Go server apps/kiosk.
func StartKiosk(ctx context.Context, w SlowWay) (*Server, error) {
	path, err := buildGo(ctx, "kiosk", "")
	if err != nil {
		return nil, err
	}
	return startGo(ctx, "kiosk", path, "kiosk (Go)", func(addr, _ string) []string {
		return []string{"-listen", addr, "-slow", w.Way, "-permille", fmt.Sprint(w.Permille), "-upstream", w.Upstream}
	})
}

// StartTeller starts the testbed's C server apps/teller.
func StartTeller(ctx context.Context, w SlowWay) (*Server, error) {
	s, err := startC(ctx, "teller", "", nil, []string{"slow " + w.Way, fmt.Sprintf("permille %d", w.Permille)}, dialOnce)
	if err != nil {
		return nil, err
	}
	return s.Server, nil
}

// StartDesk starts the testbed's Python server apps/desk.
func StartDesk(ctx context.Context, w SlowWay) (*Server, error) {
	app, err := appDir("desk")
	if err != nil {
		return nil, err
	}
	return startDebian(ctx, Program{
		Name: "desk", Path: debianPython, Env: []string{"PYTHONDONTWRITEBYTECODE=1"},
		Args: func(addr, _ string) []string {
			return []string{filepath.Join(app, "desk.py"), fmt.Sprintf("--port=%d", port(addr)), "--slow=" + w.Way, fmt.Sprintf("--permille=%d", w.Permille)}
		},
	}, "--version")
}

// StartBooth starts the testbed's Node server apps/booth.
func StartBooth(ctx context.Context, w SlowWay) (*Server, error) {
	return StartNode(ctx, "booth", "--slow", w.Way, "--permille", fmt.Sprint(w.Permille))
}

// StartCounter starts the testbed's Java server apps/counter.
func StartCounter(ctx context.Context, w SlowWay) (*Server, error) {
	java, err := find("java")
	if err != nil {
		return nil, err
	}
	classes, err := compileJava("counter")
	if err != nil {
		return nil, err
	}
	addr, err := FreeAddr()
	if err != nil {
		return nil, err
	}
	dir, err := newDir("counter")
	if err != nil {
		return nil, err
	}
	log := filepath.Join(dir, "counter.log")
	args := append([]string{}, jvmFlags...)
	args = append(args, "-cp", classes, "counter.Main", fmt.Sprintf("--port=%d", port(addr)), "--slow="+w.Way, fmt.Sprintf("--permille=%d", w.Permille))
	p, err := proc.Start(proc.Options{Path: java, Args: args, Dir: dir, Env: []string{"OTEL_SERVICE_NAME=counter"}, Output: log})
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	s := &Server{Process: p, Addr: addr, Dir: dir, Version: "counter on " + version(java, "-version"), beside: keepPerfMap}
	if err := s.waitReady(ctx, log, func() error { return dialOnce(addr) }); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}
