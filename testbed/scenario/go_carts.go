package scenario

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/perfscope/perfscope/testbed/load"
	"github.com/perfscope/perfscope/testbed/server"
)

// cartsPool: a path that takes a connection from the pool of go-redis v8.11.5 and
// never gives it back; once all ten are gone everybody waits:
// https://github.com/redis/go-redis/issues/2559.
func cartsPool() Scenario {
	return Scenario{
		Name:   "carts-pool",
		Title:  "a Go server's pool of connections leaks",
		Server: "carts", Language: Go, Kind: Exhaustion, Source: Own, Split: Tune,
		Normal: "carts are shown, filled and paid for; they are in redis, with ten connections",
		Fault:  "a product is sold out: whoever wants it is told so by a path that does not give its connection back",
		// apps/carts/main.go: who takes it; and where everybody waits, go-redis'
		// internal/pool/pool.go. The wait is a channel's: no thread is held.
		Truth:    []string{"main.(*carts).reserve", "github.com/go-redis/redis/v8/internal/pool.(*ConnPool).waitTurn"},
		Patterns: []string{"resource_exhaustion", "lock_wait", "stuck_call"},
		Start: func(ctx context.Context) (Workload, error) {
			cache, err := server.StartRedis(ctx)
			if err != nil {
				return Workload{}, err
			}
			stop := func() { _ = cache.Stop() } // it holds nothing that matters
			s, err := server.StartGoApp(ctx, "carts", "-redis", cache.Addr)
			if err != nil {
				stop()
				return Workload{}, err
			}
			return Workload{
				Server: s,
				Load:   cartsLoad(s),
				Fault: func(ctx context.Context) (func(), error) {
					return pester(ctx, 50*time.Millisecond, func() (*http.Request, error) {
						return http.NewRequest(http.MethodPost, "http://"+s.Addr+"/reservations/sold-out", nil)
					}), nil
				},
				Stop: stop,
			}, nil
		},
	}
}

func cartsLoad(s *server.Server) load.Config {
	return httpLoad(24, 220, func(r *rand.Rand) (*http.Request, error) {
		base, cart, product := "http://"+s.Addr, r.IntN(2000), r.IntN(300)
		switch n := r.IntN(20); {
		case n < 2:
			return http.NewRequest(http.MethodGet, base+"/terms", nil)
		case n < 12:
			return http.NewRequest(http.MethodGet, fmt.Sprintf("%s/carts/%d", base, cart), nil)
		case n < 17:
			return http.NewRequest(http.MethodPost, fmt.Sprintf("%s/carts/%d/p%d", base, cart, product), nil)
		default:
			return http.NewRequest(http.MethodPost, fmt.Sprintf("%s/reservations/p%d", base, product), nil)
		}
	})
}
