package scenario

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/perfscope/perfscope/testbed/server"
)

// quotesBlocking: one handler of an asynchronous server waits without await,
// and everybody waits with it: https://rules.sonarsource.com/python/RSPEC-7488/.
func quotesBlocking() Scenario {
	return Scenario{
		Name:   "quotes-blocking",
		Title:  "aiohttp waits for a slow partner inside a handler that does not await",
		Server: "quotes", Language: Python, Kind: Hang, Source: Own, Split: Tune,
		Normal: "quotes from a service that answers in milliseconds; one request in ten is for a price, which requests.get has from a partner",
		Fault:  "the partner takes half a second for each price",
		// apps/quotes/server.py: the handler. Below it is a recv of CPython's
		// Modules/socketmodule.c, which polls first as there is a timeout:
		// sock_recv_into, sock_call_impl, internal_select.
		Truth:    []string{"fetch_price", "sock_recv_into", "internal_select"},
		Patterns: []string{"blocked_io", "stuck_call"},
		Start: func(ctx context.Context) (Workload, error) {
			a, err := startApplication()
			if err != nil {
				return Workload{}, err
			}
			s, err := server.StartQuotes(ctx, a.addr)
			if err != nil {
				return stopApplication(err, a)
			}
			return Workload{
				Server: s,
				Load: httpLoad(16, 100, func(r *rand.Rand) (*http.Request, error) {
					what := "quotes"
					if r.IntN(10) == 0 {
						what = "prices"
					}
					return http.NewRequest(http.MethodGet, fmt.Sprintf("http://%s/%s/%d", s.Addr, what, r.IntN(1000)), nil)
				}),
				Fault: func(context.Context) (func(), error) { return a.slowRates(500 * time.Millisecond), nil },
				Stop:  a.stop,
			}, nil
		},
	}
}
