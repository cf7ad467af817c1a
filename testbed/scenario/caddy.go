package scenario

import (
	"context"
	"math/rand/v2"
	"net/http"

	"github.com/perfscope/perfscope/testbed/server"
)

// caddyRetries: a request is tried again until lb_try_duration is over, after
// a pause of lb_try_interval, and a backend that refuses answers at once.
func caddyRetries() Scenario {
	return Scenario{
		Name:   "caddy-retries",
		Title:  "Caddy tries a backend that is down a thousand times a second",
		Server: "caddy", Language: Go, Kind: Churn, Source: GoModule, Split: Report,
		Normal: "files, and an application behind reverse_proxy with lb_try_duration 3s and lb_try_interval 1ms",
		Fault:  "the application is down: each request for it makes attempts for three seconds, and forty users press reload",
		// https://caddyserver.com/docs/caddyfile/directives/reverse_proxy#lb_try_interval
		// ("can cause the CPU to spin if all backends are down and latency is
		// very low"); modules/caddyhttp/reverseproxy/reverseproxy.go at v2.8.4:
		// ServeHTTP loops over proxyLoopIteration, which asks tryAgain, and
		// has reverseProxy make the attempt.
		Truth: []string{
			caddyProxy + "(*Handler).ServeHTTP", caddyProxy + "(*Handler).proxyLoopIteration",
			caddyProxy + "(*Handler).reverseProxy", caddyProxy + "LoadBalancing.tryAgain",
			caddyProxy + "(*HTTPTransport).RoundTrip",
		},
		Patterns: []string{"connection_churn", "busy_loop_on_failing_call"},
		Start: func(ctx context.Context) (Workload, error) {
			a, err := startApplication()
			if err != nil {
				return Workload{}, err
			}
			s, err := server.StartCaddy(ctx, "v2.8.4", "\treverse_proxy /app/* "+a.addr+" {\n\t\tlb_try_duration 3s\n\t\tlb_try_interval 1ms\n\t}")
			if err != nil {
				return stopApplication(err, a)
			}
			return Workload{
				Server: s,
				Load: httpLoad(16, 400, func(r *rand.Rand) (*http.Request, error) {
					if r.IntN(100) < 40 {
						return appRequest(s.Addr, r)
					}
					return fileRequest(s.Addr, r)
				}),
				Fault: func(ctx context.Context) (func(), error) {
					a.stop()
					return reload(ctx, s.Addr), nil
				},
				Stop: a.stop,
			}, nil
		},
	}
}

const caddyProxy = "github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy."
