package scenario

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/perfscope/perfscope/testbed/server"
)

// nginxFiles: far more connections are allowed than descriptors, which is what
// worker_connections without worker_rlimit_nofile comes to. A client library
// keeps its connections, and there are none left for files and newcomers.
func nginxFiles() Scenario {
	return Scenario{
		Name:   "nginx-files",
		Title:  "nginx has no descriptors left for files and new clients",
		Server: "nginx", Language: C, Kind: Exhaustion, Source: Debian, Split: Tune,
		Normal: "two workers serve files, with 128 descriptors each",
		Fault:  "270 clients keep their connection for seconds after a request: accept and open fail with EMFILE",
		// https://github.com/nginx/nginx/blob/release-1.22.1/src/event/ngx_event_accept.c:
		// accept4() failed (24: Too many open files), then no accept for half
		// a second. src/core/ngx_open_file_cache.c: open() failed (24: …),
		// which is a 500 for the client.
		Truth:    []string{"ngx_event_accept", "ngx_open_cached_file"},
		Patterns: []string{"descriptor_exhaustion"},
		Start: func(ctx context.Context) (Workload, error) {
			s, err := server.StartNginxWith(ctx, server.NginxConfig{Main: "worker_rlimit_nofile 128;"})
			if err != nil {
				return Workload{}, err
			}
			return Workload{
				Server: s,
				Load:   nginxLoad(s),
				Fault:  func(ctx context.Context) (func(), error) { return keepConnections(ctx, s), nil },
			}, nil
		},
	}
}

// keepConnections makes clients that ask for a file, keep the connection for
// five seconds and come again, until the returned function is called.
func keepConnections(ctx context.Context, s *server.Server) func() {
	ctx, stop := context.WithCancel(ctx)
	var clients sync.WaitGroup
	for i := range 270 {
		clients.Go(func() {
			c := &http.Client{Transport: &http.Transport{MaxConnsPerHost: 1}, Timeout: 10 * time.Second}
			defer c.CloseIdleConnections()
			for pause(ctx, time.Duration(i)*5*time.Millisecond); ctx.Err() == nil; pause(ctx, 5*time.Second) {
				c.CloseIdleConnections()
				request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://%s/%d.bin", s.Addr, i%server.NginxFiles), nil)
				if err != nil {
					return
				}
				if response, err := c.Do(request); err == nil {
					_, _ = io.Copy(io.Discard, response.Body)
					response.Body.Close()
				}
			}
		})
	}
	return func() {
		stop()
		clients.Wait()
	}
}
