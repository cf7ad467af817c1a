package scenario

import (
	"context"
	"fmt"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/perfscope/perfscope/testbed/server"
)

// redisAccept: a server at its limit of open files. accept fails with EMFILE,
// the connection stays in the queue, the listener stays readable, and the
// event loop comes back at once to try again.
func redisAccept() Scenario {
	return Scenario{
		Name:   "redis-accept",
		Title:  "redis spins on accept, out of file descriptors",
		Server: "redis", Language: C, Kind: Exhaustion, Source: Debian, Split: Tune,
		Quick:  true,
		Normal: "a cache in use, far from its limit of open files",
		Fault:  "the limit of open files is reached (prlimit) and more clients come: accept fails again and again",
		// src/networking.c and src/anet.c: the handler that gives up at
		// the first failure and leaves the listener readable.
		// (connSocketAcceptHandler from redis 7.2 on).
		Truth:    []string{"acceptTcpHandler", "connSocketAcceptHandler", "anetTcpAccept", "anetGenericAccept"},
		Patterns: []string{"descriptor_exhaustion"},
		Top:      3,
		Start: func(ctx context.Context) (Workload, error) {
			s, err := server.StartRedis(ctx, "--loglevel", "warning")
			if err != nil {
				return Workload{}, err
			}
			return Workload{
				Server: s,
				Load:   redisLoad(s, 1000),
				Fault:  func(context.Context) (func(), error) { return exhaustDescriptors(s) },
			}, nil
		},
	}
}

// exhaustDescriptors lowers the server's limit to what it has open, then lets
// twenty clients more come.
func exhaustDescriptors(s *server.Server) (func(), error) {
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.PID()))
	if err != nil {
		return nil, err
	}
	limit := unix.Rlimit{Cur: uint64(len(open)), Max: uint64(len(open))}
	if err := unix.Prlimit(s.PID(), unix.RLIMIT_NOFILE, &limit, nil); err != nil {
		return nil, fmt.Errorf("prlimit: %w", err)
	}
	var waiting []net.Conn
	end := func() {
		for _, c := range waiting {
			c.Close()
		}
	}
	for range 20 {
		c, err := net.DialTimeout("tcp", s.Addr, time.Second)
		if err != nil {
			end()
			return nil, err
		}
		waiting = append(waiting, c)
	}
	return end, nil
}
