package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/perfscope/perfscope/testbed/client"
	"github.com/perfscope/perfscope/testbed/host"
	"github.com/perfscope/perfscope/testbed/proc"
)

// StartPostgres makes a database cluster and starts Debian's postgres on it.
// The account "postgres" needs no password. settings are added to the command
// line (-c deadlock_timeout=1s).
func StartPostgres(ctx context.Context, settings ...string) (*Server, error) {
	return StartPostgresOn(ctx, nil, settings...)
}

// StartPostgresOn is StartPostgres on a host, whose network is trusted; nil is
// this machine.
func StartPostgresOn(ctx context.Context, h *host.Host, settings ...string) (*Server, error) {
	path, err := find("/usr/lib/postgresql/*/bin/postgres")
	if err != nil {
		return nil, err
	}
	addr, err := h.Addr(5432)
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
	if h != nil {
		if err := trust(data, addr); err != nil {
			return fail(err)
		}
	}
	listen, _, _ := net.SplitHostPort(addr)
	args := append([]string{"-D", data, "-h", listen, "-p", strconv.Itoa(port(addr)), "-k", dir}, settings...)
	p, err := proc.Start(proc.Options{Path: path, Args: args, Dir: dir, Output: log, User: account, Host: h})
	if err != nil {
		return fail(err)
	}
	// SIGINT is its fast shutdown; at SIGTERM it waits for its clients.
	s := &Server{Process: p, Addr: addr, Dir: dir, Version: version(path, "--version"), stopSignal: syscall.SIGINT}
	err = s.waitReady(ctx, log, func() error {
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

// trust lets everybody in who is on the network of an address.
func trust(data, addr string) error {
	file, err := os.OpenFile(filepath.Join(data, "pg_hba.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	ip, _, _ := net.SplitHostPort(addr)
	_, err = fmt.Fprintf(file, "host all all %s/24 trust\n", ip)
	return errors.Join(err, file.Close())
}
