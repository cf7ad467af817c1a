package scenario

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/perfscope/perfscope/testbed/server"
)

// nginxRegex: a location is matched by a regular expression that takes
// exponential time on what almost matches, and somebody finds out.
func nginxRegex() Scenario {
	return Scenario{
		Name:   "nginx-regex",
		Title:  "nginx computes: a regular expression that backtracks",
		Server: "nginx", Language: C, Kind: Computation, Source: Debian, Split: Report,
		Quick:  true,
		Normal: "two workers serve files; a location is chosen by a regular expression",
		Fault:  "a client asks four times a second for /q/aaaa…!, on which ^/q/(a|aa)+$ backtracks",
		// PCRE does the work, for the function that matches the locations.
		Truth:    []string{"ngx_regex_exec", "ngx_http_regex_exec", "ngx_http_core_find_config_phase", "ngx_http_core_find_location"},
		Patterns: []string{"long_computation"},
		Top:      3,
		Start: func(ctx context.Context) (Workload, error) {
			s, err := server.StartNginx(ctx, `location ~ "^/q/(a|aa)+$" { return 204; }`)
			if err != nil {
				return Workload{}, err
			}
			return Workload{
				Server: s,
				Load:   nginxLoad(s),
				Fault:  func(ctx context.Context) (func(), error) { return askHardly(ctx, s), nil },
			}, nil
		},
	}
}

// askHardly asks for what almost matches until the returned function is
// called.
func askHardly(ctx context.Context, s *server.Server) func() {
	ctx, stop := context.WithCancel(ctx)
	var asking sync.WaitGroup
	asking.Go(func() {
		tick := time.NewTicker(250 * time.Millisecond)
		defer tick.Stop()
		c := &http.Client{Timeout: 10 * time.Second}
		defer c.CloseIdleConnections()
		for ctx.Err() == nil {
			request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.Addr+"/q/"+strings.Repeat("a", 40)+"!", nil)
			if err != nil {
				return
			}
			if response, err := c.Do(request); err == nil {
				_, _ = io.Copy(io.Discard, response.Body)
				response.Body.Close()
			}
			select {
			case <-ctx.Done():
			case <-tick.C:
			}
		}
	})
	return func() {
		stop()
		asking.Wait()
	}
}
