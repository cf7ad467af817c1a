package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/perfscope/perfscope/testbed/proc"
)

// StartSlapd starts Debian's slapd with one database, dc=example,dc=org, made
// of entries (LDIF). access are rules that come before those of Debian's; the
// database's administrator is cn=admin, with the password secret.
func StartSlapd(ctx context.Context, entries, access string) (*Server, error) {
	path, err := find("slapd")
	if err != nil {
		return nil, err
	}
	addr, err := FreeAddr()
	if err != nil {
		return nil, err
	}
	dir, err := newDir("slapd")
	if err != nil {
		return nil, err
	}
	fail := func(err error) (*Server, error) { return nil, errors.Join(err, os.RemoveAll(dir)) }
	own, err := ownDir(dir, "openldap")
	if err != nil {
		return fail(err)
	}
	if err := writeAll(dir, map[string]string{"entries.ldif": entries, "slapd.conf": fmt.Sprintf(`include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/nis.schema
include /etc/ldap/schema/inetorgperson.schema
pidfile %[1]s/slapd.pid
argsfile %[1]s/slapd.args
loglevel none
modulepath /usr/lib/ldap
moduleload back_mdb
sizelimit 500
tool-threads 1
database mdb
maxsize 1073741824
suffix "dc=example,dc=org"
rootdn "cn=admin,dc=example,dc=org"
rootpw secret
directory %[1]s
checkpoint 512 30
lastmod on
lastbind on
index objectClass eq
index cn,uid eq
index uidNumber,gidNumber eq
index member,memberUid eq
access to attrs=userPassword by self write by anonymous auth by * none
%[2]s
access to * by * read
`, own, access)}); err != nil {
		return fail(err)
	}
	account := ""
	if os.Geteuid() == 0 {
		account = "openldap"
	}
	log := filepath.Join(dir, "slapd.log")
	conf := filepath.Join(dir, "slapd.conf")
	if err := importEntries(ctx, dir, account, log); err != nil {
		return fail(err)
	}
	p, err := proc.Start(proc.Options{
		Path: path, Args: []string{"-d", "0", "-h", "ldap://" + addr + "/", "-f", conf}, Dir: dir, Output: log, User: account,
		Env: []string{"OTEL_SERVICE_NAME=slapd"},
	})
	if err != nil {
		return fail(err)
	}
	s := &Server{Process: p, Addr: addr, Dir: dir, Version: version(path, "-VV")}
	if err := s.waitReady(ctx, log, func() error { return dialOnce(addr) }); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

func importEntries(ctx context.Context, dir, account, log string) error {
	tool, err := find("slapadd")
	if err != nil {
		return err
	}
	p, err := proc.Start(proc.Options{
		Path: tool, Args: []string{"-q", "-f", filepath.Join(dir, "slapd.conf"), "-l", filepath.Join(dir, "entries.ldif")},
		Dir: dir, Output: log, User: account,
	})
	if err != nil {
		return err
	}
	select {
	case <-p.Done():
	case <-ctx.Done():
		return errors.Join(ctx.Err(), ignoreExit(p.Stop(time.Second)))
	}
	if err := p.Err(); err != nil {
		return fmt.Errorf("slapadd: %w: %s", err, tail(log))
	}
	return nil
}

// AddToSlapd runs slapadd beside slapd, quick, and gives it one entry after the
// other, as they come from somewhere far away. What it returns ends that.
func AddToSlapd(ctx context.Context, s *Server, every time.Duration, entry func(i int) string) (func(), error) {
	tool, err := find("slapadd")
	if err != nil {
		return nil, err
	}
	pipe := filepath.Join(s.Dir, "more.ldif")
	if err := syscall.Mkfifo(pipe, 0o644); err != nil {
		return nil, err
	}
	// Open for reading, too, so that this does not wait for slapadd.
	from, err := os.OpenFile(pipe, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	account := ""
	if os.Geteuid() == 0 {
		account = "openldap"
	}
	p, err := proc.Start(proc.Options{
		Path: tool, Args: []string{"-q", "-f", filepath.Join(s.Dir, "slapd.conf"), "-l", pipe},
		Dir: s.Dir, Output: filepath.Join(s.Dir, "slapadd.log"), User: account,
	})
	if err != nil {
		return nil, errors.Join(err, from.Close())
	}
	ctx, cancel := context.WithCancel(ctx)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		for i := 0; ctx.Err() == nil; i++ {
			if _, err := from.WriteString(entry(i)); err != nil {
				return
			}
			select {
			case <-ctx.Done():
			case <-time.After(every):
			}
		}
	}()
	return func() {
		cancel()
		<-stopped
		_ = p.Stop(time.Second) // it is cut off
		_ = from.Close()
	}, nil
}
