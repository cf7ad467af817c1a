package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/perfscope/perfscope/testbed/proc"
)

// StartHAProxy starts Debian's haproxy as its unit does, a master and a worker
// with a thread per core. frontend are the lines of its frontend beyond bind,
// backend those of its backend "app". It finds an empty map, users.map.
func StartHAProxy(ctx context.Context, frontend, backend []string) (*Server, error) {
	path, err := find("haproxy")
	if err != nil {
		return nil, err
	}
	addr, err := FreeAddr()
	if err != nil {
		return nil, err
	}
	dir, err := newDir("haproxy")
	if err != nil {
		return nil, err
	}
	fail := func(err error) (*Server, error) {
		os.RemoveAll(dir)
		return nil, err
	}
	account := ""
	if os.Geteuid() == 0 {
		account = "user haproxy\n  group haproxy"
	}
	// After Debian's haproxy.cfg.
	conf := fmt.Sprintf(`global
  log stderr local0
  stats socket %[1]s/admin.sock mode 660 level admin
  stats timeout 30s
  %[2]s
defaults
  log global
  mode http
  option httplog
  option dontlognull
  timeout connect 5000
  timeout client 50000
  timeout server 50000
frontend web
  bind %[3]s
  monitor-uri /0.bin
  %[4]s
  default_backend app
backend app
  %[5]s
`, dir, account, addr, strings.Join(frontend, "\n  "), strings.Join(backend, "\n  "))
	file := filepath.Join(dir, "haproxy.cfg")
	if err := errors.Join(
		os.WriteFile(file, []byte(conf), 0o644),
		os.WriteFile(filepath.Join(dir, "users.map"), nil, 0o644),
	); err != nil {
		return fail(err)
	}
	log := filepath.Join(dir, "haproxy.log")
	p, err := proc.Start(proc.Options{Path: path, Args: []string{"-W", "-db", "-f", file}, Dir: dir, Output: log})
	if err != nil {
		return fail(err)
	}
	s := &Server{Process: p, Addr: addr, Dir: dir, Version: version(path, "-v")}
	if err := s.waitReady(ctx, log, answers(addr)); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

// HAProxyDo sends a command to the stats socket of an haproxy and returns its
// answer.
func HAProxyDo(s *Server, command string) (string, error) {
	c, err := net.Dial("unix", filepath.Join(s.Dir, "admin.sock"))
	if err != nil {
		return "", err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(c, command+"\n"); err != nil {
		return "", err
	}
	answer, err := io.ReadAll(c)
	return string(answer), err
}
