package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/perfscope/perfscope/testbed/proc"
)

// StartNode starts a Node server of testbed/apps, whose main file is
// server.js, with the packages its lock file names. It gets --listen and
// --data beside args, must answer GET /health, and writes a perf map, which
// RemovePerfMap takes away.
func StartNode(ctx context.Context, app string, args ...string) (*Server, error) {
	node, err := find("node")
	if err != nil {
		return nil, err
	}
	root, err := Repository()
	if err != nil {
		return nil, err
	}
	source := filepath.Join(root, "testbed", "apps", app)
	if err := InstallPackages(ctx, source); err != nil {
		return nil, err
	}
	addr, err := FreeAddr()
	if err != nil {
		return nil, err
	}
	dir, err := newDir(app)
	if err != nil {
		return nil, err
	}
	log := filepath.Join(dir, "server.log")
	// V8 names the functions of scripts in /tmp/perf-PID.map.
	flags := []string{"--perf-basic-prof", "--interpreted-frames-native-stack", filepath.Join(source, "server.js"), "--listen", addr, "--data", dir}
	p, err := proc.Start(proc.Options{
		Path: node, Args: append(flags, args...), Dir: dir, Output: log,
		Env: []string{"OTEL_SERVICE_NAME=" + app, "NODE_ENV=production"},
	})
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	s := &Server{Process: p, Addr: addr, Dir: dir, Version: app + ", " + version(node, "--version")}
	err = waitReady(ctx, p, log, func() error {
		response, err := http.Get("http://" + addr + "/health")
		if err != nil {
			return err
		}
		return response.Body.Close()
	})
	if err != nil {
		err = errors.Join(err, s.Stop())
		RemovePerfMap(s)
		return nil, err
	}
	return s, nil
}

// RemovePerfMap removes what a server that has ended wrote for profilers.
func RemovePerfMap(s *Server) { _ = os.Remove(fmt.Sprintf("/tmp/perf-%d.map", s.PID())) }

// InstallPackages installs what the lock file says, unless it is there.
func InstallPackages(ctx context.Context, dir string) error {
	lock, err := os.Stat(filepath.Join(dir, "package-lock.json"))
	if errors.Is(err, os.ErrNotExist) {
		return nil // it needs none
	}
	if err != nil {
		return err
	}
	installed, err := os.Stat(filepath.Join(dir, "node_modules", ".package-lock.json"))
	if err == nil && installed.ModTime().After(lock.ModTime()) {
		return nil
	}
	npm, err := find("npm")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, npm, "ci", "--ignore-scripts", "--omit=dev", "--no-audit", "--no-fund")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("npm ci in %s: %w: %s", dir, err, out)
	}
	return nil
}
