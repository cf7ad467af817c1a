package scenario

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"

	"github.com/perfscope/perfscope/testbed/server"
)

// faresHang: the threads of puma wait for a service that does not answer, and
// none is left for requests that do not need it:
// https://github.com/puma/puma/issues/426 ("All threads blocked when Net::Http
// tries to open a connection").
func faresHang() Scenario {
	return Scenario{
		Name:   "fares-hang",
		Title:  "puma's threads wait for a service that hangs",
		Server: "fares", Language: Ruby, Kind: Hang, Source: Own, Split: Tune,
		Normal: "a railway's routes from memory and prices from another service, with five threads",
		Fault:  "the other service takes requests and does not answer",
		// apps/fares/config.ru: the caller. Below it Net::HTTP waits in Ruby's
		// io.c, rb_io_wait.
		Truth:    []string{"fetch_price", "rb_io_wait"},
		Patterns: []string{"stuck_call", "blocked_io"},
		Start: func(ctx context.Context) (Workload, error) {
			a, err := startApplication()
			if err != nil {
				return Workload{}, err
			}
			s, err := server.StartFares(ctx, a.addr)
			if err != nil {
				return stopApplication(err, a)
			}
			return Workload{
				Server: s,
				Load: httpLoad(16, 90, func(r *rand.Rand) (*http.Request, error) {
					what := "routes"
					if r.IntN(3) == 0 {
						what = "prices"
					}
					request, err := http.NewRequest(http.MethodGet, fmt.Sprintf("http://%s/%s/%d", s.Addr, what, r.IntN(40)), nil)
					if err == nil {
						request.Close = true // as a proxy in front of it asks
					}
					return request, err
				}),
				Fault: func(context.Context) (func(), error) {
					a.databaseHangs.Store(true)
					return a.stop, nil // else its users would wait for their timeout
				},
				Stop: a.stop,
			}, nil
		},
	}
}
