package scenario

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/perfscope/perfscope/testbed/server"
)

// apacheRewrite: the program that a rewrite map asks answers no more. All
// workers share it, one at a time:
// https://httpd.apache.org/docs/2.4/rewrite/rewritemap.html#prg
func apacheRewrite() Scenario {
	return Scenario{
		Name:   "apache-rewrite",
		Title:  "apache hangs: the program behind a rewrite map answers no more",
		Server: "apache", Language: C, Kind: Hang, Source: Debian, Split: Report,
		Normal: "twelve prefork workers serve files; one request in twenty is for a short address that a program translates",
		Fault:  "the program is stopped: who asks it waits for its answer, all others for the lock on its pipes",
		// modules/mappers/mod_rewrite.c: lookup_map_program, which the compiler
		// made part of lookup_map, locks, writes and reads. It has no name in
		// Debian's module and is shown by where it starts (2.4.67-1~deb12u2,
		// by the call of apr_global_mutex_lock); the hook that asks it is run
		// by ap_run_translate_name of server/request.c.
		Truth:    []string{"mod_rewrite.so+0x8840", "ap_run_translate_name"},
		Patterns: []string{"stuck_call", "lock_wait", "blocked_io"},
		Start: func(ctx context.Context) (Workload, error) {
			s, err := server.StartApache(ctx, "prefork", []string{"rewrite"},
				"StartServers 12", "MinSpareServers 12", "MaxSpareServers 12", "MaxRequestWorkers 12",
				"RewriteEngine On",
				`RewriteMap short "prg:/bin/sed -u s|^|/|;s|$|.bin|"`,
				"RewriteRule ^/s/([0-9]+)$ ${short:$1} [L]")
			if err != nil {
				return Workload{}, err
			}
			return Workload{
				Server: s,
				Load: httpLoad(8, 300, func(r *rand.Rand) (*http.Request, error) {
					if r.IntN(20) == 0 {
						return http.NewRequest(http.MethodGet, fmt.Sprintf("http://%s/s/%d", s.Addr, r.IntN(server.NginxFiles)), nil)
					}
					return fileRequest(s.Addr, r)
				}),
				Fault: func(context.Context) (func(), error) { return stopMap(s) },
			}, nil
		},
	}
}

// stopMap stops the program of the rewrite map, a child of apache's.
func stopMap(s *server.Server) (func(), error) {
	for _, pid := range server.Descendants(s.PID()) {
		name, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "comm"))
		if err == nil && strings.TrimSpace(string(name)) == "sed" {
			return func() { _ = syscall.Kill(pid, syscall.SIGCONT) }, syscall.Kill(pid, syscall.SIGSTOP)
		}
	}
	return nil, errors.New("the program of the rewrite map does not run")
}
