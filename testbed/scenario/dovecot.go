package scenario

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync/atomic"

	"github.com/perfscope/perfscope/testbed/client"
	"github.com/perfscope/perfscope/testbed/load"
	"github.com/perfscope/perfscope/testbed/server"
)

const (
	dovecotUsers = 12
	dovecotMails = 300 // in each mailbox
)

// dovecotDotlock: a mailbox that is one file is locked by another file beside
// it, and who finds that looks again after a while.
func dovecotDotlock() Scenario {
	return Scenario{
		Name:   "dovecot-dotlock",
		Title:  "Dovecot sleeps: a mail program elsewhere has left its lock file beside a shared mailbox",
		Server: "dovecot", Language: C, Kind: Sleep, Source: Debian, Split: Report,
		Normal: "twelve people read, search and flag their mail, in mailboxes of one file each, file copies of what they send, now and then into the team's mailbox",
		Fault:  "a mail program on another host, which has the same directory mounted, dies while it holds the team's mailbox: its support.lock stays, and whoever files something there waits",
		// https://doc.dovecot.org/2.3/configuration_manual/mail_location/mbox/mboxlocking/
		// ("dotlock"; mbox_dotlock_change_timeout is two minutes);
		// src/lib-storage/index/mbox/mbox-lock.c at 2.3.19: mbox_lock calls
		// file_dotlock_create (src/lib/file-dotlock.c), which looks at the
		// lock file and sleeps for 0.1 to 3 s, until it is gone or old enough.
		// Debian's takes a lock of the kernel's before (fcntl): who sleeps
		// holds it, and the others wait for it in mbox_lock, too.
		Truth:    []string{"file_dotlock_create", "mbox_lock"},
		Patterns: []string{"sleep_in_request", "lock_wait"},
		Start: func(ctx context.Context) (Workload, error) {
			mail := map[string]string{"team/support": mailbox("support", dovecotMails)}
			for i := range dovecotUsers {
				mail[fmt.Sprintf("user%d/inbox", i)] = mailbox(fmt.Sprintf("user%d", i), dovecotMails)
				mail[fmt.Sprintf("user%d/mail/Sent", i)] = ""
			}
			s, err := server.StartDovecot(ctx, mail)
			if err != nil {
				return Workload{}, err
			}
			return Workload{
				Server: s,
				Load:   mailLoad(s.Addr, 300),
				Fault: func(context.Context) (func(), error) {
					lock := server.DovecotMailbox(s, "team/support") + ".lock"
					return func() { _ = os.Remove(lock) }, os.WriteFile(lock, []byte("0"), 0o644)
				},
			}, nil
		},
	}
}

// mailbox is a file of n messages, as mbox has them.
func mailbox(owner string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "From sender%d@example.net Mon Nov  3 10:%02d:%02d 2025\n%s\n", i%50, i/60%60, i%60,
			strings.ReplaceAll(mailMessage(i, owner), "\r\n", "\n"))
	}
	return b.String()
}

func mailMessage(i int, to string) string {
	return fmt.Sprintf("From: Sender <sender%d@example.net>\r\nTo: %s@example.org\r\nSubject: Order %d of customer %d\r\n"+
		"Date: Mon, 3 Nov 2025 10:%02d:%02d +0000\r\nMessage-ID: <%d.%d@example.net>\r\n\r\n%s\r\n",
		i%50, to, i, i*7919%1000, i/60%60, i%60, i, i%50, strings.Repeat("Please send the goods by the end of the week.\r\n", 20+i%40))
}

// mailLoad is mail programs, each with the session of a person.
func mailLoad(addr string, rate float64) load.Config {
	var users atomic.Int64
	return load.Config{
		Workers: dovecotUsers,
		Rate:    rate,
		Dial: func() (load.Client, error) {
			user := fmt.Sprintf("user%d", users.Add(1)%dovecotUsers)
			c, err := client.DialIMAP(addr, user, "any")
			if err != nil {
				return nil, err
			}
			return mailProgram{c, user}, c.Do("SELECT INBOX")
		},
	}
}

type mailProgram struct {
	*client.IMAP
	user string
}

func (c mailProgram) Request(r *rand.Rand) error {
	i := 1 + r.IntN(dovecotMails)
	switch n := r.IntN(100); {
	case n < 45:
		return c.Do(fmt.Sprintf("UID FETCH %d (FLAGS BODY.PEEK[])", i))
	case n < 65:
		return c.Do("NOOP")
	case n < 80:
		return c.Do(fmt.Sprintf("UID FETCH %d:%d (ENVELOPE FLAGS)", i, i+20))
	case n < 90:
		return c.Do(fmt.Sprintf(`UID SEARCH SUBJECT "customer %d"`, r.IntN(1000)))
	case n < 96:
		return c.Do(fmt.Sprintf(`UID STORE %d FLAGS (\Seen $Label%d)`, i, 1+r.IntN(3)))
	case n < 99:
		return c.Append("Sent", mailMessage(i, "customer"))
	}
	return c.Append("Team/support", mailMessage(i, c.user))
}
