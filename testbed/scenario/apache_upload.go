package scenario

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/perfscope/perfscope/testbed/server"
)

// apacheUpload: before mod_proxy connects to the application it reads the
// first 16 KiB of a request's body, and a thread waits for them.
func apacheUpload() Scenario {
	return Scenario{
		Name:   "apache-upload",
		Title:  "apache waits: its threads read the bodies of slow clients",
		Server: "apache", Language: C, Kind: Hang, Source: Debian, Split: Tune,
		Normal: "the worker module serves files and passes pages and uploads to an application",
		Fault:  "sixty phones on a bad network upload 12,000 bytes at 800 bytes per second, fast enough for mod_reqtimeout: they hold all fifty threads",
		// modules/proxy/proxy_util.c ap_proxy_prefetch_input reads the body
		// before there is a backend.
		// https://github.com/apache/httpd/blob/2.4.x/modules/proxy/proxy_util.c
		Truth:    []string{"ap_proxy_prefetch_input"},
		Patterns: []string{"stuck_call", "blocked_io"},
		Start: func(ctx context.Context) (Workload, error) {
			a, err := startApplication()
			if err != nil {
				return Workload{}, err
			}
			s, err := server.StartApache(ctx, "worker", []string{"proxy", "proxy_http"},
				"StartServers 2", "MinSpareThreads 25", "MaxSpareThreads 75", "ThreadsPerChild 25", "MaxRequestWorkers 50",
				"ProxyPass /app/ http://"+a.addr+"/app/")
			if err != nil {
				return stopApplication(err, a)
			}
			return Workload{
				Server: s,
				Load: impatient(httpLoad(12, 350, func(r *rand.Rand) (*http.Request, error) {
					if r.IntN(100) < 40 {
						return appRequest(s.Addr, r)
					}
					return fileRequest(s.Addr, r)
				}), 4*time.Second),
				Fault: func(ctx context.Context) (func(), error) { return uploadSlowly(ctx, s), nil },
				Stop:  a.stop,
			}, nil
		},
	}
}

// uploadSlowly has sixty clients upload until it is ended.
func uploadSlowly(ctx context.Context, s *server.Server) func() {
	ctx, cancel := context.WithCancel(ctx)
	var phones sync.WaitGroup
	for i := range 60 {
		phones.Go(func() {
			rest(ctx, time.Duration(i)*20*time.Millisecond)
			for ctx.Err() == nil {
				uploadOnce(ctx, s.Addr)
				rest(ctx, time.Second)
			}
		})
	}
	rest(ctx, 1200*time.Millisecond) // until the last one has begun
	return func() { cancel(); phones.Wait() }
}

func uploadOnce(ctx context.Context, addr string) {
	c, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	const size, piece = 12_000, 400
	if _, err := fmt.Fprintf(c, "POST /app/upload HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n", addr, size); err != nil {
		return
	}
	for range size / piece {
		if _, err := io.WriteString(c, strings.Repeat("x", piece)); err != nil {
			return
		}
		rest(ctx, 500*time.Millisecond)
	}
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	_, _ = io.Copy(io.Discard, c)
}

func rest(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
