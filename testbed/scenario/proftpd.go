package scenario

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"

	"github.com/perfscope/perfscope/testbed/client"
	"github.com/perfscope/perfscope/testbed/load"
	"github.com/perfscope/perfscope/testbed/server"
)

// proftpdUsers: a file of users is read from its start for each question about
// one of them, and a login has several.
func proftpdUsers() Scenario {
	return Scenario{
		Name:   "proftpd-users",
		Title:  "ProFTPD reads its whole file of users again and again for each login",
		Server: "proftpd", Language: C, Kind: Computation, Source: Debian, Split: Report,
		Normal: "a process per session: cameras and shops log in, list their files, store one, fetch one, and leave",
		Fault:  "the customers of another provider are taken over: the file of users grows from 200 to 150,000",
		// https://github.com/proftpd/proftpd/blob/v1.3.8/modules/mod_auth_file.c
		// The functions have no names in Debian's binary and are shown by where
		// they start (1.3.8+dfsg-4+deb12u5): af_getpwent reads one line and
		// takes it apart, for af_getpwnam, af_getpwuid and authfile_getpwnam,
		// which start at the file's first line each time.
		// http://www.proftpd.org/docs/howto/AuthFiles.html
		Truth:    []string{"proftpd+0xa06f0", "proftpd+0xa14a0", "proftpd+0xa1390", "proftpd+0xa1620"},
		Patterns: []string{"long_computation", "tiny_io"},
		Start: func(ctx context.Context) (Workload, error) {
			s, err := server.StartProFTPD(ctx, ftpUsers(200))
			if err != nil {
				return Workload{}, err
			}
			if err := fillFTP(s.Addr); err != nil {
				return stopAfter(err, s)
			}
			return Workload{
				Server: s,
				Load:   ftpLoad(s, 10),
				Fault: func(context.Context) (func(), error) {
					return func() {}, server.SetProFTPDUsers(s, ftpUsers(150_000))
				},
			}, nil
		},
	}
}

// ftpUsers are customers in the order of their names, those of before among
// them.
func ftpUsers(n int) []string {
	var users []string
	for i := range n {
		users = append(users, fmt.Sprintf("customer%06d", i*(600_000/n)))
	}
	return users
}

func fillFTP(addr string) error {
	c, err := client.DialFTP(addr, ftpUsers(200)[0], server.ProFTPDPassword)
	if err != nil {
		return err
	}
	for i := range 40 {
		err = errors.Join(err, c.Store(fmt.Sprintf("file%d", i), strings.Repeat("picture ", 1000)))
	}
	return errors.Join(err, c.Close())
}

// ftpLoad is sessions: a request is one from its login to its end.
func ftpLoad(s *server.Server, rate float64) load.Config {
	var worker atomic.Int64
	return load.Config{
		Workers: 12,
		Rate:    rate,
		Dial:    func() (load.Client, error) { return ftpSessions{s, fmt.Sprint(worker.Add(1))}, nil },
	}
}

type ftpSessions struct {
	*server.Server
	name string
}

func (ftpSessions) Close() error { return nil }

func (f ftpSessions) Request(r *rand.Rand) error {
	c, err := client.DialFTP(f.Addr, fmt.Sprintf("customer%06d", 3000*r.IntN(200)), server.ProFTPDPassword)
	if err != nil {
		return err
	}
	_, err = c.List()
	if r.IntN(2) == 0 {
		err = errors.Join(err, c.Store("upload"+f.name, strings.Repeat("picture ", 500+r.IntN(2000))))
	}
	_, failed := c.Retrieve(fmt.Sprintf("file%d", r.IntN(40)))
	return errors.Join(err, failed, c.Close())
}
