package scenario

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/perfscope/perfscope/testbed/server"
)

// secondCompiled are mistakes in compiled languages.
func secondCompiled() []Scenario {
	return []Scenario{pantryPrices(), breweryRates(), turnstileLines(), observatoryPlaces()}
}

// pantryPrices: each of a list's items is asked for by itself:
// https://redis.io/docs/latest/develop/using-commands/pipelining/.
func pantryPrices() Scenario {
	return Scenario{
		Name:   "pantry-prices",
		Title:  "a Go server asks redis for each price by itself",
		Server: "pantry", Language: Go, Kind: TinyIO, Source: Own, Split: Tune,
		Normal: "what shelves of two to nine foods are worth, whose prices are in redis; prices are set",
		Fault:  "four restaurants look at shelves of 500 foods",
		// apps/pantry/main.go.
		Truth:    []string{"main.(*pantry).value"},
		Patterns: []string{"tiny_io", "blocked_io"},
		Start: func(ctx context.Context) (Workload, error) {
			prices, err := server.StartRedis(ctx)
			if err != nil {
				return Workload{}, err
			}
			stop := func() { _ = prices.Stop() } // it holds nothing that matters
			s, err := server.StartGoApp(ctx, "pantry", "-redis", prices.Addr)
			if err != nil {
				stop()
				return Workload{}, err
			}
			shelf := func(size int) (*http.Request, error) {
				return http.NewRequest(http.MethodGet, fmt.Sprintf("http://%s/shelves/%d/%d", s.Addr, rand.IntN(3000), size), nil)
			}
			return Workload{
				Server: s,
				Load: httpLoad(8, 150, func(r *rand.Rand) (*http.Request, error) {
					if r.IntN(10) == 0 {
						return http.NewRequest(http.MethodPost, fmt.Sprintf("http://%s/prices/%d/%d", s.Addr, r.IntN(3000), r.IntN(900)), nil)
					}
					return shelf(2 + r.IntN(8))
				}),
				Fault: func(ctx context.Context) (func(), error) {
					return pesterMany(ctx, 4, 100*time.Millisecond, func() (*http.Request, error) { return shelf(500) }), nil
				},
				Stop: stop,
			}, nil
		},
	}
}

// breweryRates: what compute of a ConcurrentHashMap calls holds the lock of its bin:
// https://docs.oracle.com/en/java/javase/17/docs/api/java.base/java/util/concurrent/ConcurrentHashMap.html#compute(K,java.util.function.BiFunction)
// ("the computation should be short and simple").
func breweryRates() Scenario {
	return Scenario{
		Name:   "brewery-rates",
		Title:  "a Java server asks another service with a part of a map locked",
		Server: "brewery", Language: Java, Kind: LockConvoy, Source: Own, Split: Tune,
		Normal: "recipes, and prices in six currencies, whose rates another service has and which are good for a second",
		Fault:  "the other service takes 0.6 s for a rate",
		// apps/brewery/src/brewery/Rates.java: who asks with the lock, what he waits for,
		// and where the others wait.
		Truth:    []string{"brewery.Rates.rate", "brewery.Rates.fetch", "java.util.concurrent.ConcurrentHashMap.compute"},
		Patterns: []string{"lock_wait", "blocked_io", "stuck_call"},
		Start: func(ctx context.Context) (Workload, error) {
			a, err := startApplication()
			if err != nil {
				return Workload{}, err
			}
			s, err := server.StartBrewery(ctx, a.addr)
			if err != nil {
				return stopApplication(err, a)
			}
			return Workload{
				Server: s,
				Load: httpLoad(12, 150, func(r *rand.Rand) (*http.Request, error) {
					what := "recipes"
					if r.IntN(3) == 0 {
						what = "prices"
					}
					return http.NewRequest(http.MethodGet, fmt.Sprintf("http://%s/%s/%d", s.Addr, what, r.IntN(600)), nil)
				}),
				Fault: func(context.Context) (func(), error) { return a.slowRates(600 * time.Millisecond), nil },
				Stop:  a.stop,
			}, nil
		},
	}
}

// turnstileLines: std::endl flushes the stream each time:
// https://en.cppreference.com/w/cpp/io/manip/endl ("may significantly degrade the output
// performance").
func turnstileLines() Scenario {
	return Scenario{
		Name:   "turnstile-lines",
		Title:  "a C++ server writes each line of its journal by a call, with a lock held",
		Server: "turnstile", Language: C, Kind: TinyIO, Source: Own, Split: Tune,
		Normal: "one or two people pass a gate at a time, which a journal has, and gates are counted",
		Fault:  "the gates of an arena tell of their people afterwards, 5,000 at a time, eighty times a second",
		// apps/turnstile/journal.cc.
		Truth:    []string{"Journal::pass"},
		Patterns: []string{"tiny_io", "lock_wait"},
		Start: func(ctx context.Context) (Workload, error) {
			s, err := server.StartTurnstile(ctx)
			if err != nil {
				return Workload{}, err
			}
			pass := func(gate, many int) (*http.Request, error) {
				return http.NewRequest(http.MethodGet, fmt.Sprintf("http://%s/pass/%d/%d", s.Addr, gate, many), nil)
			}
			return Workload{
				Server: s,
				Load: httpLoad(8, 300, func(r *rand.Rand) (*http.Request, error) {
					if r.IntN(2) == 0 {
						return http.NewRequest(http.MethodGet, fmt.Sprintf("http://%s/gates/%d", s.Addr, r.IntN(64)), nil)
					}
					return pass(r.IntN(64), 1+r.IntN(2))
				}),
				Fault: func(ctx context.Context) (func(), error) {
					return pesterMany(ctx, 4, 50*time.Millisecond, func() (*http.Request, error) { return pass(7, 5000) }), nil
				},
			}, nil
		},
	}
}

// observatoryPlaces: a guard that is made in what is matched on lives to the match's end:
// https://rust-lang.github.io/rust-clippy/master/index.html#significant_drop_in_scrutinee.
func observatoryPlaces() Scenario {
	return Scenario{
		Name:   "observatory-places",
		Title:  "a Rust server asks another service with a mutex held that it means to have dropped",
		Server: "observatory", Language: Rust, Kind: LockConvoy, Source: Own, Split: Tune,
		Normal: "stars and their places, of which 500 are known and one in fifty is asked of another service",
		Fault:  "the other service takes 150 ms for a place",
		// apps/observatory/main.rs: who has the lock while it asks, and what it waits for.
		Truth:    []string{"observatory::Observatory::place", "observatory::Observatory::ask"},
		Patterns: []string{"lock_wait", "blocked_io", "stuck_call"},
		Start: func(ctx context.Context) (Workload, error) {
			a, err := startApplication()
			if err != nil {
				return Workload{}, err
			}
			s, err := server.StartObservatory(ctx, a.addr)
			if err != nil {
				return stopApplication(err, a)
			}
			get := func(what string, number int) (*http.Request, error) {
				return http.NewRequest(http.MethodGet, fmt.Sprintf("http://%s/%s/%d", s.Addr, what, number), nil)
			}
			learn, err := get("learn", 500)
			if err == nil {
				err = send(ctx, http.DefaultClient, learn)
			}
			if err != nil {
				a.stop()
				return stopAfter(err, s)
			}
			return Workload{
				Server: s,
				Load: httpLoad(10, 200, func(r *rand.Rand) (*http.Request, error) {
					switch n := r.IntN(100); {
					case n < 2:
						return get("places", 500+r.IntN(5000))
					case n < 50:
						return get("places", r.IntN(500))
					}
					return get("stars", r.IntN(5000))
				}),
				Fault: func(context.Context) (func(), error) { return a.slowRates(150 * time.Millisecond), nil },
				Stop:  a.stop,
			}, nil
		},
	}
}
