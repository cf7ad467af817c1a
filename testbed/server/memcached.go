package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"github.com/perfscope/perfscope/testbed/client"
	"github.com/perfscope/perfscope/testbed/proc"
)

// StartMemcached starts Debian's memcached with four threads and 64 MiB, built
// with its symbol table (build-memcached.sh) if that has not been done yet.
// settings are added to the command line.
func StartMemcached(ctx context.Context, settings ...string) (*Server, error) {
	root, err := Repository()
	if err != nil {
		return nil, err
	}
	path, err := buildMemcached(ctx, root)
	if err != nil {
		return nil, err
	}
	addr, err := FreeAddr()
	if err != nil {
		return nil, err
	}
	dir, err := newDir("memcached")
	if err != nil {
		return nil, err
	}
	args := append([]string{"-l", "127.0.0.1", "-p", strconv.Itoa(port(addr)), "-U", "0", "-t", "4", "-m", "64"}, settings...)
	if os.Geteuid() == 0 {
		args = append(args, "-u", "nobody")
	}
	log := filepath.Join(dir, "memcached.log")
	p, err := proc.Start(proc.Options{Path: path, Args: args, Dir: dir, Output: log})
	if err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	s := &Server{Process: p, Addr: addr, Dir: dir, Version: version(path, "-V")}
	err = s.waitReady(ctx, log, func() error {
		c, err := client.DialMemcached(addr)
		if err != nil {
			return err
		}
		_, err = c.Do([]byte("version\r\n"))
		return errors.Join(err, c.Close())
	})
	if err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

// buildMemcached builds it under testbed/bin, once.
func buildMemcached(ctx context.Context, root string) (string, error) {
	building.Lock()
	defer building.Unlock()
	path := filepath.Join(root, "testbed", "bin", "memcached")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	out, err := exec.CommandContext(ctx, filepath.Join(root, "testbed", "build-memcached.sh")).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build-memcached.sh: %w: %s", err, out[max(0, len(out)-1000):])
	}
	return path, nil
}
