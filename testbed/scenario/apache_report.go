package scenario

import (
	"context"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/perfscope/perfscope/testbed/server"
)

// apacheReport: prefork has one process per request. An application that does
// not answer keeps them, and the files have none left.
func apacheReport() Scenario {
	return Scenario{
		Name:   "apache-report",
		Title:  "apache waits: its processes are held by an application that does not answer",
		Server: "apache", Language: C, Kind: Hang, Source: Debian, Split: Tune,
		Quick:  true,
		Normal: "up to twenty prefork processes serve files and pass pages, uploads and reports to an application",
		Fault:  "the application's database hangs: each request for /app/report keeps a process for Timeout's 300 s",
		// modules/proxy/mod_proxy_http.c: ap_proxy_http_process_response reads
		// the status line of the backend, with ap_rgetline_core. It has no
		// name in Debian's module and is shown by where it starts
		// (2.4.71-1~deb12u1); proxy_run_scheme_handler is the caller with a
		// name.
		// https://github.com/apache/httpd/blob/2.4.x/modules/proxy/mod_proxy_http.c
		Truth:    []string{"mod_proxy_http.so+0x4310", "proxy_run_scheme_handler", "ap_rgetline_core"},
		Patterns: []string{"stuck_call", "blocked_io"},
		Start: func(ctx context.Context) (Workload, error) {
			a, err := startApplication()
			if err != nil {
				return Workload{}, err
			}
			s, err := server.StartApache(ctx, "prefork", []string{"proxy", "proxy_http"},
				"StartServers 14", "MinSpareServers 2", "MaxSpareServers 10", "MaxRequestWorkers 20", "MaxConnectionsPerChild 0",
				"ProxyPass /app/ http://"+a.addr+"/app/")
			if err != nil {
				return stopApplication(err, a)
			}
			return Workload{
				Server: s,
				Load: impatient(httpLoad(12, 350, func(r *rand.Rand) (*http.Request, error) {
					switch n := r.IntN(100); {
					case n < 4:
						return http.NewRequest(http.MethodGet, "http://"+s.Addr+"/app/report", nil)
					case n < 40:
						return appRequest(s.Addr, r)
					}
					return fileRequest(s.Addr, r)
				}), 4*time.Second),
				Fault: func(context.Context) (func(), error) {
					a.databaseHangs.Store(true)
					return func() {}, nil
				},
				Stop: a.stop,
			}, nil
		},
	}
}
