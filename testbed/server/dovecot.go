package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/perfscope/perfscope/testbed/proc"
)

// StartDovecot starts Debian's dovecot with mailboxes where Debian's
// configuration has them, one file each (mbox); the namespace Team/ is shared.
// Users log in with any password. mail are the mailboxes that are there, by
// name: user0/inbox, team/support.
func StartDovecot(ctx context.Context, mail map[string]string) (*Server, error) {
	var failed error
	s, err := startDebian(ctx, Program{
		Name: "dovecot",
		Path: "dovecot",
		Files: func(addr, dir string) map[string]string {
			var own string
			own, failed = ownDir(dir, "mail")
			if failed == nil {
				failed = putMail(own, mail)
			}
			return map[string]string{"dovecot.conf": fmt.Sprintf(`base_dir = %[1]s/run
state_dir = %[1]s/state
log_path = /dev/stderr
protocols = imap
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
mail_uid = mail
mail_gid = mail
first_valid_uid = 1
first_valid_gid = 1
mail_home = %[2]s/%%u
mail_location = mbox:~/mail:INBOX=~/inbox
namespace {
  inbox = yes
  prefix =
  separator = /
}
namespace team {
  prefix = Team/
  separator = /
  location = mbox:%[2]s/team:INDEX=~/team-index
  subscriptions = no
}
passdb {
  driver = static
  args = nopassword=y
}
userdb {
  driver = static
  args = uid=mail gid=mail home=%[2]s/%%u
}
service imap-login {
  inet_listener imap {
    address = 127.0.0.1
    port = %[3]d
  }
  inet_listener imaps {
    port = 0
  }
}
`, dir, own, port(addr))}
		},
		Args: func(_, dir string) []string { return []string{"-F", "-c", filepath.Join(dir, "dovecot.conf")} },
	}, "--version")
	if failed != nil && err == nil {
		return nil, errors.Join(failed, s.Stop())
	}
	return s, err
}

// DovecotMailbox is the file of a mailbox, by the name that StartDovecot knows
// it under.
func DovecotMailbox(s *Server, name string) string { return filepath.Join(s.Dir, "own", name) }

// putMail writes mailboxes into a directory and gives all of them to the
// account that Dovecot uses.
func putMail(dir string, mail map[string]string) error {
	for name, content := range mail {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			return err
		}
	}
	if os.Geteuid() != 0 {
		return nil
	}
	id, err := proc.Credential("mail")
	if err != nil {
		return err
	}
	return filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Chown(path, int(id.Uid), int(id.Gid))
	})
}
