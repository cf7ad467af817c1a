package server

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/perfscope/perfscope/testbed/proc"
)

// StartGoApp builds and starts one of the testbed's own Go servers; flags are
// added to its command line.
func StartGoApp(ctx context.Context, name string, flags ...string) (*Server, error) {
	path, err := buildGo(ctx, name, "")
	if err != nil {
		return nil, err
	}
	return startGo(ctx, name, path, name+" (Go)", func(addr, _ string) []string {
		return append([]string{"-listen", addr}, flags...)
	})
}

// StartTolls builds and starts the testbed's tolls, which asks the service at
// upstream and has its journal under the returned server's directory.
func StartTolls(ctx context.Context, upstream string) (*Server, error) {
	path, err := buildGo(ctx, "tolls", "")
	if err != nil {
		return nil, err
	}
	return startGo(ctx, "tolls", path, "tolls (Go)", func(addr, dir string) []string {
		return []string{"-listen", addr, "-upstream", "http://" + upstream, "-journal", filepath.Join(dir, "journal")}
	})
}

// StartSafes builds and starts the testbed's safes, whose log of who opened one is under
// the returned server's directory.
func StartSafes(ctx context.Context) (*Server, error) {
	path, err := buildGo(ctx, "safes", "")
	if err != nil {
		return nil, err
	}
	return startGo(ctx, "safes", path, "safes (Go)", func(addr, dir string) []string {
		return []string{"-listen", addr, "-audit", filepath.Join(dir, "audit")}
	})
}

// StartLedger starts the testbed's ledger, and builds the release of it that
// UpdateLedger puts in its place.
func StartLedger(ctx context.Context) (*Server, error) {
	if _, err := buildGo(ctx, "ledger", "next"); err != nil {
		return nil, err
	}
	return StartGoApp(ctx, "ledger")
}

// StartNextLedger starts the next release of the ledger beside the one that runs, as a
// deployment does that replaces one instance after the other.
func StartNextLedger(ctx context.Context) (*Server, error) {
	path, err := buildGo(ctx, "ledger", "next")
	if err != nil {
		return nil, err
	}
	return startGo(ctx, "ledger", path, "ledger, next (Go)", func(addr, _ string) []string { return []string{"-listen", addr} })
}

// UpdateLedger ends the ledger and starts its next release on its port: a new
// process of the same service, from another file.
func UpdateLedger(ctx context.Context, s *Server) error {
	path, err := buildGo(ctx, "ledger", "next")
	if err != nil {
		return err
	}
	if err := ignoreExit(s.StopWith(syscall.SIGTERM, 5*time.Second)); err != nil {
		return err
	}
	log := filepath.Join(s.Dir, "ledger.log")
	p, err := proc.Start(proc.Options{
		Path: path, Args: []string{"-listen", s.Addr}, Dir: s.Dir, Output: log, Env: []string{"OTEL_SERVICE_NAME=ledger"},
	})
	if err != nil {
		return err
	}
	s.Process = p
	return waitReady(ctx, p, log, func() error { return dialOnce(s.Addr) })
}

// buildGo builds testbed/apps/<name>, with a build tag if one is named, and
// returns the program's path. Go knows what has to be built.
func buildGo(ctx context.Context, name, tag string) (string, error) {
	building.Lock()
	defer building.Unlock()
	root, err := Repository()
	if err != nil {
		return "", err
	}
	path, args := filepath.Join(root, "testbed", "bin", name), []string{"build"}
	if tag != "" {
		path, args = filepath.Join(root, "testbed", "bin", tag, name), append(args, "-tags", tag)
	}
	build := exec.CommandContext(ctx, "go", append(args, "-o", path, "./apps/"+name)...)
	build.Dir = filepath.Join(root, "testbed")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build %s: %w: %s", name, err, out)
	}
	return path, nil
}
