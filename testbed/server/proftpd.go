package server

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/perfscope/perfscope/testbed/proc"
)

// The password of every account of ProFTPD, and what is kept of it.
const (
	ProFTPDPassword = "correct-horse"
	proFTPDHash     = "$1$scope12$LfDPAkV/Qw0En2zORx6uE/"
)

// StartProFTPD starts Debian's ProFTPD as a daemon that forks a process per
// session. It has a file of its own for its users, and one directory for what
// they keep. There is no scoreboard: sessions that meet at its lock sleep.
func StartProFTPD(ctx context.Context, users []string) (*Server, error) {
	return startDebian(ctx, Program{
		Name: "proftpd",
		Path: "proftpd",
		Files: func(addr, dir string) map[string]string {
			if _, err := ownDir(dir, "proftpd"); err != nil {
				return nil // it says so when it finds no configuration
			}
			if err := writeProFTPDUsers(dir, users); err != nil {
				return nil
			}
			return map[string]string{"proftpd.conf": fmt.Sprintf(`ServerName "Files"
ServerType standalone
DefaultAddress 127.0.0.1
Port %[1]d
UseIPv6 off
UseReverseDNS off
User proftpd
Group nogroup
MaxInstances 60
RequireValidShell off
AuthPAM off
AuthOrder mod_auth_file.c
AuthUserFile %[2]s/users
AllowOverwrite on
WtmpLog off
DelayEngine off
ControlsEngine off
PidFile %[2]s/proftpd.pid
ScoreboardFile none
SystemLog %[2]s/system.log
TransferLog %[2]s/transfers.log
`, port(addr), dir)}
		},
		Args: func(_, dir string) []string { return []string{"-n", "-q", "-c", filepath.Join(dir, "proftpd.conf")} },
	}, "-v")
}

// SetProFTPDUsers replaces the file of users; each session reads it anew.
func SetProFTPDUsers(s *Server, users []string) error { return writeProFTPDUsers(s.Dir, users) }

// writeProFTPDUsers writes the file of users in dir. ProFTPD wants nobody else
// to read it.
func writeProFTPDUsers(dir string, users []string) error {
	id, err := proc.Credential("proftpd")
	if err != nil {
		return err
	}
	var b strings.Builder
	for _, user := range users {
		fmt.Fprintf(&b, "%s:%s:%d:%d:customer:%s/own:/bin/false\n", user, proFTPDHash, id.Uid, id.Gid, dir)
	}
	file := filepath.Join(dir, "users")
	if err := os.WriteFile(file+".new", []byte(b.String()), 0o600); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}
