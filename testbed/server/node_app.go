package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/perfscope/perfscope/testbed/proc"
)

// StartNode starts a Node server of testbed/apps, whose main file is
// server.js, with the packages its lock file names. It gets --listen and
// --data beside args, must answer GET /health, and writes a perf map, which
// RemovePerfMap takes away.
func StartNode(ctx context.Context, app string, args ...string) (*Server, error) {
	return nodeApp{name: app, flags: nodeNames}.start(ctx, args)
}

// StartPlainNode is StartNode without any flag: nothing names the functions of
// scripts.
func StartPlainNode(ctx context.Context, app string, args ...string) (*Server, error) {
	return nodeApp{name: app}.start(ctx, args)
}

// StartNodeAsking is StartNode with a name server of its own, an address of this
// machine, whatever /etc/resolv.conf says. It needs root.
func StartNodeAsking(ctx context.Context, nameServer, app string, args ...string) (*Server, error) {
	return nodeApp{name: app, flags: nodeNames, nameServer: nameServer}.start(ctx, args)
}

// nodeNames has V8 name the functions of scripts in /tmp/perf-PID.map.
var nodeNames = []string{"--perf-basic-prof", "--interpreted-frames-native-stack"}

type nodeApp struct {
	name       string
	flags      []string
	nameServer string // empty for that of this machine
}

func (n nodeApp) start(ctx context.Context, args []string) (*Server, error) {
	node, err := find("node")
	if err != nil {
		return nil, err
	}
	root, err := Repository()
	if err != nil {
		return nil, err
	}
	source := filepath.Join(root, "testbed", "apps", n.name)
	if err := InstallPackages(ctx, source); err != nil {
		return nil, err
	}
	addr, err := FreeAddr()
	if err != nil {
		return nil, err
	}
	dir, err := newDir(n.name)
	if err != nil {
		return nil, err
	}
	path, args, err := n.command(node, dir, slices.Concat(n.flags, []string{filepath.Join(source, "server.js"), "--listen", addr, "--data", dir}, args))
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	log := filepath.Join(dir, "server.log")
	p, err := proc.Start(proc.Options{
		Path: path, Args: args, Dir: dir, Output: log,
		Env: []string{"OTEL_SERVICE_NAME=" + n.name, "NODE_ENV=production"},
	})
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	s := &Server{Process: p, Addr: addr, Dir: dir, Version: n.name + ", " + version(node, "--version")}
	err = s.waitReady(ctx, log, func() error {
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

// command is how Node is started. With a name server of its own it gets its own
// view of the file system, in which another file is /etc/resolv.conf; its
// process id stays the one that was started.
func (n nodeApp) command(node, dir string, args []string) (string, []string, error) {
	if n.nameServer == "" {
		return node, args, nil
	}
	file := filepath.Join(dir, "resolv.conf")
	conf := "nameserver " + n.nameServer + "\noptions timeout:30 attempts:1\n"
	const enter = `mount --bind "$1" /etc/resolv.conf && shift && exec "$@"`
	return "unshare", append([]string{"--mount", "sh", "-c", enter, "sh", file, node}, args...), os.WriteFile(file, []byte(conf), 0o644)
}

// RemovePerfMap removes what a server that has ended wrote for profilers.
func RemovePerfMap(s *Server) { _ = os.Remove(fmt.Sprintf("/tmp/perf-%d.map", s.PID())) }

// InstallPackages installs what the lock file says, unless it is there.
func InstallPackages(ctx context.Context, dir string) error {
	building.Lock()
	defer building.Unlock()
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
