package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/perfscope/perfscope/testbed/client"
	"github.com/perfscope/perfscope/testbed/proc"
)

// StartPostgres makes a database cluster and starts Debian's postgres on it.
// The account "postgres" needs no password. settings are added to the command
// line (-c deadlock_timeout=1s).
func StartPostgres(ctx context.Context, settings ...string) (*Server, error) {
	path, err := find("/usr/lib/postgresql/*/bin/postgres")
	if err != nil {
		return nil, err
	}
	addr, err := FreeAddr()
	if err != nil {
		return nil, err
	}
	dir, err := newDir("postgres")
	if err != nil {
		return nil, err
	}
	// PostgreSQL refuses to run as root.
	account := ""
	if os.Geteuid() == 0 {
		account = "postgres"
	}
	fail := func(err error) (*Server, error) {
		os.RemoveAll(dir)
		return nil, err
	}
	data := filepath.Join(dir, "data")
	initdb := exec.CommandContext(ctx, filepath.Join(filepath.Dir(path), "initdb"),
		"-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
	initdb.Dir = dir
	if account != "" {
		id, err := proc.Credential(account)
		if err != nil {
			return fail(err)
		}
		if err := os.Chown(dir, int(id.Uid), int(id.Gid)); err != nil {
			return fail(err)
		}
		initdb.SysProcAttr = &syscall.SysProcAttr{Credential: id}
	}
	if out, err := initdb.CombinedOutput(); err != nil {
		return fail(fmt.Errorf("initdb: %w: %s", err, out))
	}
	log := filepath.Join(dir, "postgres.log")
	args := append([]string{"-D", data, "-h", "127.0.0.1", "-p", strconv.Itoa(port(addr)), "-k", dir}, settings...)
	p, err := proc.Start(proc.Options{Path: path, Args: args, Dir: dir, Output: log, User: account})
	if err != nil {
		return fail(err)
	}
	// SIGINT is its fast shutdown; at SIGTERM it waits for its clients.
	s := &Server{Process: p, Addr: addr, Dir: dir, Version: version(path, "--version"), stopSignal: syscall.SIGINT}
	err = waitReady(ctx, p, log, func() error {
		c, err := client.DialPostgres(addr, "postgres", "postgres")
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
