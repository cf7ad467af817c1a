package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/perfscope/perfscope/testbed/proc"
)

const pdnsSchema = "/usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql"

// StartPDNS starts Debian's authoritative server of PowerDNS, whose zones are in
// an SQLite database that rows fills, in SQL, with a rollback journal, as it has
// to be where the file is on another machine. It answers on UDP and TCP.
func StartPDNS(ctx context.Context, rows string) (*Server, error) {
	var failed error
	s, err := startDebian(ctx, Program{
		Name: "pdns",
		Path: "pdns_server",
		Files: func(_, dir string) map[string]string {
			failed = fillPDNS(ctx, dir, rows)
			return nil
		},
		Args: func(addr, dir string) []string {
			return []string{
				"--no-config", "--daemon=no", "--guardian=no", "--disable-syslog", "--loglevel=4",
				"--setuid=pdns", "--setgid=pdns", "--socket-dir=" + filepath.Join(dir, "own"),
				"--local-address=127.0.0.1", fmt.Sprintf("--local-port=%d", port(addr)),
				"--launch=gsqlite3", "--gsqlite3-database=" + pdnsDatabase(dir), "--gsqlite3-pragma-journal-mode=delete",
			}
		},
	}, "--version")
	if err != nil {
		return nil, errors.Join(failed, err)
	}
	return s, nil
}

func pdnsDatabase(dir string) string { return filepath.Join(dir, "own", "pdns.sqlite3") }

// fillPDNS makes the database with Debian's schema.
func fillPDNS(ctx context.Context, dir, rows string) error {
	if _, err := ownDir(dir, "pdns"); err != nil {
		return err
	}
	schema, err := os.ReadFile(pdnsSchema)
	if err != nil {
		return err
	}
	cmd, err := sqlite(ctx, pdnsDatabase(dir))
	if err != nil {
		return err
	}
	cmd.Stdin = strings.NewReader(string(schema) + "BEGIN;\n" + rows + "COMMIT;\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("sqlite3: %w: %s", err, out)
	}
	if os.Geteuid() != 0 {
		return nil
	}
	id, err := proc.Credential("pdns")
	if err != nil {
		return err
	}
	return os.Chown(pdnsDatabase(dir), int(id.Uid), int(id.Gid))
}

// PDNSShell is sqlite3 on a server's database; it does what it reads from its
// input.
func PDNSShell(ctx context.Context, s *Server) (*exec.Cmd, error) {
	return sqlite(ctx, pdnsDatabase(s.Dir))
}

func sqlite(ctx context.Context, database string) (*exec.Cmd, error) {
	path, err := find("sqlite3")
	if err != nil {
		return nil, err
	}
	return exec.CommandContext(ctx, path, "-batch", "-cmd", ".timeout 5000", database), nil
}
