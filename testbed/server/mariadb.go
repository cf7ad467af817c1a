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

// StartMariaDB makes a data directory and starts Debian's mariadbd on it, with
// an empty database "shop". The account "root" needs no password. settings are
// added to the command line (--sync-binlog=1).
func StartMariaDB(ctx context.Context, settings ...string) (*Server, error) {
	path, err := find("mariadbd")
	if err != nil {
		return nil, err
	}
	install, err := find("mariadb-install-db")
	if err != nil {
		return nil, err
	}
	addr, err := FreeAddr()
	if err != nil {
		return nil, err
	}
	dir, err := newDir("mariadb")
	if err != nil {
		return nil, err
	}
	fail := func(err error) (*Server, error) {
		os.RemoveAll(dir)
		return nil, err
	}
	data := filepath.Join(dir, "data")
	makeData := exec.CommandContext(ctx, install, "--no-defaults", "--datadir="+data,
		"--auth-root-authentication-method=normal", "--skip-test-db")
	makeData.Dir = dir
	// MariaDB does not want to run as root, and the package with nothing but
	// the server does not bring its usual account.
	account := ""
	if os.Geteuid() == 0 {
		account = "nobody"
		id, err := proc.Credential(account)
		if err != nil {
			return fail(err)
		}
		if err := os.Chown(dir, int(id.Uid), int(id.Gid)); err != nil {
			return fail(err)
		}
		makeData.SysProcAttr = &syscall.SysProcAttr{Credential: id}
	}
	if out, err := makeData.CombinedOutput(); err != nil {
		return fail(fmt.Errorf("mariadb-install-db: %w: %s", err, out))
	}
	log := filepath.Join(dir, "mariadb.log")
	args := append([]string{
		"--no-defaults", "--datadir=" + data, "--tmpdir=" + dir, "--socket=" + filepath.Join(dir, "socket"),
		"--bind-address=127.0.0.1", "--port=" + strconv.Itoa(port(addr)), "--skip-name-resolve",
	}, settings...)
	p, err := proc.Start(proc.Options{Path: path, Args: args, Dir: dir, Output: log, User: account})
	if err != nil {
		return fail(err)
	}
	s := &Server{Process: p, Addr: addr, Dir: dir, Version: version(path, "--version")}
	err = s.waitReady(ctx, log, func() error {
		c, err := client.DialMariaDB(ctx, addr, "")
		if err != nil {
			return err
		}
		return errors.Join(c.Exec("CREATE DATABASE IF NOT EXISTS shop"), c.Close())
	})
	if err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}
