package server

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"

	"github.com/perfscope/perfscope/testbed/client"
	"github.com/perfscope/perfscope/testbed/proc"
)

// StartRedis starts Debian's redis-server; settings are added to its command
// line (--appendonly yes).
func StartRedis(ctx context.Context, settings ...string) (*Server, error) {
	path, err := find("redis-server")
	if err != nil {
		return nil, err
	}
	addr, err := FreeAddr()
	if err != nil {
		return nil, err
	}
	dir, err := newDir("redis")
	if err != nil {
		return nil, err
	}
	log := filepath.Join(dir, "redis.log")
	args := append([]string{
		"--bind", "127.0.0.1", "--port", strconv.Itoa(port(addr)), "--dir", dir,
		"--daemonize", "no", "--save", "",
	}, settings...)
	p, err := proc.Start(proc.Options{Path: path, Args: args, Dir: dir, Output: log})
	if err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	s := &Server{Process: p, Addr: addr, Dir: dir, Version: version(path, "--version")}
	err = waitReady(ctx, p, log, func() error {
		c, err := client.DialRedis(addr)
		if err != nil {
			return err
		}
		defer c.Close()
		_, err = c.Do("PING")
		return err
	})
	if err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}
