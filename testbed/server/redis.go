package server

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"github.com/perfscope/perfscope/testbed/client"
	"github.com/perfscope/perfscope/testbed/host"
	"github.com/perfscope/perfscope/testbed/proc"
)

// StartRedis starts Debian's redis-server; settings are added to its command
// line (--appendonly yes).
func StartRedis(ctx context.Context, settings ...string) (*Server, error) {
	return StartRedisOn(ctx, nil, settings...)
}

// StartRedisOn is StartRedis on a host; nil is this machine.
func StartRedisOn(ctx context.Context, h *host.Host, settings ...string) (*Server, error) {
	path, err := find("redis-server")
	if err != nil {
		return nil, err
	}
	addr, err := h.Addr(6379)
	if err != nil {
		return nil, err
	}
	dir, err := newDir("redis")
	if err != nil {
		return nil, err
	}
	s := &Server{Addr: addr, Dir: dir, Version: version(path, "--version"), host: h}
	if err := s.startRedis(ctx, path, settings); err != nil {
		if s.Process != nil {
			err = errors.Join(err, s.Stop())
		}
		os.RemoveAll(dir)
		return nil, err
	}
	return s, nil
}

func (s *Server) startRedis(ctx context.Context, path string, settings []string) error {
	log := filepath.Join(s.Dir, "redis.log")
	bind, _, _ := net.SplitHostPort(s.Addr)
	args := append([]string{
		"--bind", bind, "--protected-mode", "no", "--port", strconv.Itoa(port(s.Addr)), "--dir", s.Dir,
		"--daemonize", "no", "--save", "",
	}, settings...)
	p, err := proc.Start(proc.Options{Path: path, Args: args, Dir: s.Dir, Output: log, Host: s.host})
	if err != nil {
		return err
	}
	s.Process = p
	return s.waitReady(ctx, log, func() error {
		c, err := client.DialRedis(s.Addr)
		if err != nil {
			return err
		}
		defer c.Close()
		_, err = c.Do("PING")
		return err
	})
}
