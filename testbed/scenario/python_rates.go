package scenario

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/perfscope/perfscope/testbed/server"
)

// ratesLock: all threads that find a value too old wait for the one that fetches it
// with the lock held: "dogpile", https://dogpilecache.sqlalchemy.org/en/latest/front.html
// (what its lock-free reads of the old value are for).
func ratesLock() Scenario {
	return Scenario{
		Name:   "rates-lock",
		Title:  "Flask waits: a lock is held while another service is asked",
		Server: "rates", Language: Python, Kind: LockConvoy, Source: Own, Split: Report,
		Normal: "amounts in other currencies, of a rate that is fetched four times a second; one worker with eight threads",
		Fault:  "the service that has the rate takes two seconds for each answer",
		// apps/rates/rates.py.
		Truth:    []string{"current_rate", "fetch_rate"},
		Patterns: []string{"lock_wait", "stuck_call", "blocked_io"},
		Start: func(ctx context.Context) (Workload, error) {
			a, err := startApplication()
			if err != nil {
				return Workload{}, err
			}
			s, err := server.StartRates(ctx, a.addr)
			if err != nil {
				return stopApplication(err, a)
			}
			return Workload{
				Server: s,
				Load: httpLoad(12, 80, func(r *rand.Rand) (*http.Request, error) {
					if r.IntN(5) == 0 {
						return http.NewRequest(http.MethodGet, "http://"+s.Addr+"/currencies", nil)
					}
					return http.NewRequest(http.MethodGet, fmt.Sprintf("http://%s/amounts/%d", s.Addr, r.IntN(100000)), nil)
				}),
				Fault: func(context.Context) (func(), error) { return a.slowRates(2 * time.Second), nil },
				Stop:  a.stop,
			}, nil
		},
	}
}
