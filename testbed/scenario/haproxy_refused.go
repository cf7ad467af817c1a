package scenario

import (
	"context"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/perfscope/perfscope/testbed/server"
)

// haproxyRefused: the servers are not checked, so that haproxy goes from one
// dead server to the next for each request.
func haproxyRefused() Scenario {
	return Scenario{
		Name:   "haproxy-refused",
		Title:  "haproxy connects again and again to servers that are down",
		Server: "haproxy", Language: C, Kind: Churn, Source: Debian, Split: Report,
		Normal: "two threads pass requests to four servers, ten retries, each on another server",
		Fault:  "all four are restarted and refuse connections: every request makes eleven before it fails, and users press reload",
		// src/backend.c: back_handle_st_cer decides for the next try,
		// back_try_conn_req connects.
		// https://github.com/haproxy/haproxy/blob/v2.6.0/src/backend.c
		Truth:    []string{"back_handle_st_cer", "back_try_conn_req", "tcp_connect_server"},
		Patterns: []string{"connection_churn", "busy_loop_on_failing_call"},
		Start: func(ctx context.Context) (Workload, error) {
			backend := []string{"balance roundrobin", "retries 10", "option redispatch 1"}
			var apps []*application
			stop := func() {
				for _, a := range apps {
					a.stop()
				}
			}
			for _, name := range []string{"a", "b", "c", "d"} {
				a, err := startApplication()
				if err != nil {
					stop()
					return Workload{}, err
				}
				apps = append(apps, a)
				backend = append(backend, "server "+name+" "+a.addr)
			}
			s, err := server.StartHAProxy(ctx, nil, backend)
			if err != nil {
				stop()
				return Workload{}, err
			}
			next := func(r *rand.Rand) (*http.Request, error) { return appRequest(s.Addr, r) }
			return Workload{
				Server: s,
				Load:   httpLoad(12, 500, next),
				Fault: func(ctx context.Context) (func(), error) {
					stop()
					return reload(ctx, s.Addr), nil
				},
				Stop: stop,
			}, nil
		},
	}
}

// reload has forty users ask for the page five times a second.
func reload(ctx context.Context, addr string) func() {
	ctx, cancel := context.WithCancel(ctx)
	var users sync.WaitGroup
	for i := range 40 {
		users.Go(func() {
			rest(ctx, time.Duration(i)*5*time.Millisecond)
			c := &http.Client{Timeout: 5 * time.Second}
			defer c.CloseIdleConnections()
			for ctx.Err() == nil {
				request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/app/page", nil)
				if err != nil {
					return
				}
				if response, err := c.Do(request); err == nil {
					response.Body.Close()
				}
				rest(ctx, 200*time.Millisecond)
			}
		})
	}
	return func() { cancel(); users.Wait() }
}
