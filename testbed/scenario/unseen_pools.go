package scenario

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/perfscope/perfscope/testbed/server"
)

// unseenPools are pools of connections that run dry, each in another kind of program.
func unseenPools() []Scenario {
	return []Scenario{rentalsReports(), weatherBodies(), stationsRefused()}
}

// rentalsReports: who needs a second connection while he holds one waits for ever when
// all are held by others who need a second one, too:
// https://go.dev/doc/database/manage-connections ("this can lead to a deadlock").
func rentalsReports() Scenario {
	return Scenario{
		Name:   "rentals-reports",
		Title:  "a Go server asks for a second connection while it holds one",
		Server: "rentals", Language: Go, Kind: Exhaustion, Source: GoModule, Split: Report,
		Normal: "rentals are shown and given back, in a database, with eight connections; now and then somebody looks at the report of a day",
		Fault:  "it is the end of the month, and twelve offices read one report after the other",
		// apps/rentals/main.go: who holds one, and who asks for the second; and where
		// everybody waits, database/sql/sql.go.
		Truth: []string{
			"main.(*rentals).report", "main.(*rentals).customerName",
			"database/sql.(*DB).conn", "database/sql.(*DB).query", "database/sql.(*DB).QueryRowContext", "database/sql.(*DB).QueryRow",
		},
		Patterns: []string{"resource_exhaustion", "lock_wait", "stuck_call"},
		Start: func(ctx context.Context) (Workload, error) {
			db, err := server.StartPostgres(ctx, "-c", "synchronous_commit=off")
			if err != nil {
				return Workload{}, err
			}
			s, err := server.StartGoApp(ctx, "rentals", "-database", fmt.Sprintf("postgres://postgres@%s/postgres?sslmode=disable", db.Addr))
			if err != nil {
				return Workload{}, errors.Join(err, db.Stop())
			}
			report := func() (*http.Request, error) {
				return http.NewRequest(http.MethodGet, fmt.Sprintf("http://%s/reports/%d", s.Addr, rand.IntN(100)), nil)
			}
			return Workload{
				Server: s, Beside: []*server.Server{db},
				Load: impatient(httpLoad(16, 180, func(r *rand.Rand) (*http.Request, error) {
					rental := fmt.Sprintf("http://%s/rentals/%d", s.Addr, 1+r.IntN(3000))
					switch n := r.IntN(100); {
					case n < 2:
						return report()
					case n < 12:
						return http.NewRequest(http.MethodGet, "http://"+s.Addr+"/terms", nil)
					case n < 30:
						return http.NewRequest(http.MethodPost, rental+"/return", nil)
					}
					return http.NewRequest(http.MethodGet, rental, nil)
				}), 5*time.Second),
				Fault: func(ctx context.Context) (func(), error) {
					return pesterMany(ctx, 12, 20*time.Millisecond, report), nil
				},
				Stop: func() { _ = db.Stop() },
			}, nil
		},
	}
}

// pesterMany is pester by several at once.
func pesterMany(ctx context.Context, many int, every time.Duration, next func() (*http.Request, error)) func() {
	var ends []func()
	for range many {
		ends = append(ends, pester(ctx, every, next))
	}
	return func() {
		for _, end := range ends {
			end()
		}
	}
}

// weatherBodies: a connection of undici is not free before somebody has read the body:
// https://github.com/nodejs/undici/blob/v5.28.4/README.md#garbage-collection.
func weatherBodies() Scenario {
	return Scenario{
		Name:   "weather-bodies",
		Title:  "a Node server does not read the bodies of refusals",
		Server: "weather", Language: Node, Kind: Exhaustion, Source: NPM, Split: Report,
		Normal: "forecasts of cities, which another service has, with eight connections",
		Fault:  "one request in twenty is for a city that the other service does not know: it refuses with a long page, which nobody reads",
		// apps/weather/server.js, and undici/lib/api/api-request.js, whose promise is
		// kept by nobody.
		Truth:    []string{"fetchForecast", "request"},
		Patterns: []string{"resource_exhaustion", "stuck_call", "blocked_io"},
		Start: func(ctx context.Context) (Workload, error) {
			a, err := startApplication()
			if err != nil {
				return Workload{}, err
			}
			s, err := server.StartNode(ctx, "weather", "--upstream", "http://"+a.addr)
			if err != nil {
				return stopApplication(err, a)
			}
			var unknown flip
			return Workload{
				Server: s,
				Load: impatient(httpLoad(16, 120, func(r *rand.Rand) (*http.Request, error) {
					city := r.IntN(5000)
					if unknown.on() && r.IntN(20) == 0 {
						city += 5000
					}
					return http.NewRequest(http.MethodGet, fmt.Sprintf("http://%s/forecasts/%d", s.Addr, city), nil)
				}), 10*time.Second),
				Fault: unknown.fault,
				Stop:  func() { server.RemovePerfMap(s); a.stop() },
			}, nil
		},
	}
}

// stationsRefused: a connection of aiohttp goes back to its pool when the response is
// read or released, not before:
// https://docs.aiohttp.org/en/v3.8.4/client_reference.html#aiohttp.ClientResponse.release.
func stationsRefused() Scenario {
	return Scenario{
		Name:   "stations-refused",
		Title:  "an aiohttp server keeps refusals unread",
		Server: "stations", Language: Python, Kind: Exhaustion, Source: Own, Split: Report,
		Normal: "lines, and departures that another service has, with eight connections",
		Fault:  "one request in twenty is for a station that the other service does not know: it refuses with a long page, which is kept unread",
		// apps/stations/server.py, and aiohttp/connector.py of 3.8.4: connect waits.
		Truth:    []string{"fetch_departures", "BaseConnector.connect", "connect"},
		Patterns: []string{"resource_exhaustion", "stuck_call", "blocked_io"},
		Start: func(ctx context.Context) (Workload, error) {
			a, err := startApplication()
			if err != nil {
				return Workload{}, err
			}
			s, err := server.StartStations(ctx, a.addr)
			if err != nil {
				return stopApplication(err, a)
			}
			var unknown flip
			return Workload{
				Server: s,
				Load: impatient(httpLoad(16, 100, func(r *rand.Rand) (*http.Request, error) {
					if r.IntN(3) == 0 {
						return http.NewRequest(http.MethodGet, fmt.Sprintf("http://%s/lines/%d", s.Addr, r.IntN(60)), nil)
					}
					station := r.IntN(5000)
					if unknown.on() && r.IntN(20) == 0 {
						station += 5000
					}
					return http.NewRequest(http.MethodGet, fmt.Sprintf("http://%s/departures/%d", s.Addr, station), nil)
				}), 10*time.Second),
				Fault: unknown.fault,
				Stop:  a.stop,
			}, nil
		},
	}
}
