package scenario

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"syscall"

	"github.com/perfscope/perfscope/testbed/server"
)

// lighttpdMount: some of the files are on a file system over the network, and
// its server stops answering. One process does everything in one thread.
func lighttpdMount() Scenario {
	return Scenario{
		Name:   "lighttpd-mount",
		Title:  "lighttpd waits: the file server behind a mount does not answer",
		Server: "lighttpd", Language: C, Kind: Hang, Source: Debian, Split: Tune,
		Normal: "one process serves files, a fifth of them from a mounted file system (FUSE)",
		Fault:  "the process that serves the mount stops (SIGSTOP): whoever looks at a file there waits, and with it the event loop",
		// src/stat_cache.c: stat and open of the file that was asked for.
		// https://github.com/lighttpd/lighttpd1.4/blob/lighttpd-1.4.69/src/stat_cache.c
		Truth:    []string{"stat_cache_get_entry", "stat_cache_get_entry_open"},
		Patterns: []string{"stuck_call"},
		Start: func(ctx context.Context) (Workload, error) {
			m, err := server.StartMount(ctx)
			if err != nil {
				return Workload{}, err
			}
			s, err := server.StartLighttpd(ctx, nil, fmt.Sprintf("alias.url = (\"/shared/\" => \"%s/\")", m.Point))
			if err != nil {
				m.Stop()
				return Workload{}, err
			}
			return Workload{
				Server: s,
				Load: httpLoad(12, 600, func(r *rand.Rand) (*http.Request, error) {
					request, err := fileRequest(s.Addr, r)
					if err == nil && r.IntN(5) == 0 {
						request.URL.Path = "/shared" + request.URL.Path
					}
					return request, err
				}),
				Fault: func(context.Context) (func(), error) {
					// It must go on before anything is unmounted.
					end := func() { _ = m.Signal(syscall.SIGCONT) }
					return end, m.Signal(syscall.SIGSTOP)
				},
				Stop: m.Stop,
			}, nil
		},
	}
}
