package scenario

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/perfscope/perfscope/testbed/server"
)

const (
	varnishPages   = 4000
	varnishEditors = 4
	varnishRate    = 500
)

// varnishBans: a new ban is compared with every older one, and an object that
// is asked for is checked with every ban that is younger than its last check,
// all under one lock. A ban on req.* cannot be worked off in the background.
func varnishBans() Scenario {
	return Scenario{
		Name:   "varnish-bans",
		Title:  "Varnish walks a list of thousands of bans for each new one and each object",
		Server: "varnish", Language: C, Kind: Computation, Source: Debian, Split: Report,
		Normal: "4,000 pages of an application out of the cache, some uploads to it, now and then a page is banned",
		Fault:  "the shop's prices are imported again, and its plug-in bans the page of each product: 2,500 bans on req.url per second",
		// https://varnish-cache.org/docs/7.1/users-guide/purging.html#bans
		// asks for bans that the lurker can test, since others pile up.
		// bin/varnishd/cache/cache_ban_build.c: BAN_Commit looks for older
		// duplicates with ban_equal (parameter ban_dups). cache_ban.c:
		// BAN_CheckObject walks the list, ban_evaluate runs the expressions
		// of each. perf has half of the CPU time in the former two, the
		// latter two with the expressions come next.
		Truth:    []string{"BAN_Commit", "ban_equal", "BAN_CheckObject", "ban_evaluate"},
		Patterns: []string{"long_computation"},
		Start: func(ctx context.Context) (Workload, error) {
			a, err := startApplication()
			if err != nil {
				return Workload{}, err
			}
			host, port, _ := net.SplitHostPort(a.addr)
			s, err := server.StartVarnish(ctx, fmt.Sprintf(`vcl 4.1;
backend app { .host = %q; .port = %q; }
sub vcl_recv {
  if (req.method == "BAN") {
    ban("req.url ~ " + req.url);
    return (synth(200, "Banned"));
  }
}
sub vcl_backend_response { set beresp.ttl = 10m; }
`, host, port))
			if err != nil {
				return stopApplication(err, a)
			}
			if err := visitPages(ctx, s.Addr); err != nil {
				a.stop()
				return stopAfter(err, s)
			}
			return Workload{
				Server: s,
				Load: httpLoad(12, varnishRate, func(r *rand.Rand) (*http.Request, error) {
					switch n := r.IntN(200); {
					case n == 0:
						return banPage(s.Addr, r.IntN(varnishPages))
					case n < 10:
						return upload(s.Addr, 1<<(8+r.IntN(6)))
					}
					return varnishPage(s.Addr, r.IntN(varnishPages))
				}),
				Fault: func(ctx context.Context) (func(), error) { return banProducts(ctx, s.Addr), nil },
				Stop:  a.stop,
			}, nil
		},
	}
}

func varnishPage(addr string, page int) (*http.Request, error) {
	return http.NewRequest(http.MethodGet, fmt.Sprintf("http://%s/app/page?id=%d", addr, page), nil)
}

func banPage(addr string, page int) (*http.Request, error) {
	return http.NewRequest("BAN", fmt.Sprintf("http://%s/app/page.id=%d$", addr, page), nil)
}

// visitPages fills the cache.
func visitPages(ctx context.Context, addr string) error {
	errs := make([]error, 16)
	var visitors sync.WaitGroup
	for i := range errs {
		visitors.Go(func() {
			c := &http.Client{Timeout: 10 * time.Second}
			defer c.CloseIdleConnections()
			for page := i; page < varnishPages && errs[i] == nil; page += len(errs) {
				request, err := varnishPage(addr, page)
				if err == nil {
					err = send(ctx, c, request)
				}
				errs[i] = err
			}
		})
	}
	visitors.Wait()
	return errors.Join(errs...)
}

// banProducts bans pages of products that the cache does not hold, one after
// the other.
func banProducts(ctx context.Context, addr string) func() {
	var ends []func()
	for i := range varnishEditors {
		product := varnishPages + i
		ends = append(ends, pester(ctx, varnishEditors*400*time.Microsecond, func() (*http.Request, error) {
			product += varnishEditors
			return banPage(addr, product)
		}))
	}
	return func() {
		for _, end := range ends {
			end()
		}
	}
}
