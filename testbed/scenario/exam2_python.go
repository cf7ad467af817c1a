package scenario

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/perfscope/perfscope/testbed/server"
)

// secondPython are mistakes in the use of Python's libraries.
func secondPython() []Scenario { return []Scenario{atlasEviction(), pledgesSessions()} }

// atlasEviction: cachetools' LFUCache goes through all that it has to find what was used
// least: https://github.com/tkem/cachetools/blob/v5.2.0/src/cachetools/__init__.py
// (popitem: most_common of a Counter).
func atlasEviction() Scenario {
	return Scenario{
		Name:   "atlas-eviction",
		Title:  "a Tornado server's cache looks at all it has to forget one",
		Server: "atlas", Language: Python, Kind: Computation, Source: Debian, Split: Tune,
		Normal: "tiles of a map that 60,000 are kept of, and its legend; one tile in a hundred is new",
		Fault:  "three crawlers ask for tiles that nobody ever looked at",
		// cachetools/__init__.py and collections; apps/atlas/atlas.py is who keeps each.
		Truth:    []string{"LFUCache.popitem", "popitem", "Counter.most_common", "most_common", "fetch_tile"},
		Patterns: []string{"long_computation"},
		Start: func(ctx context.Context) (Workload, error) {
			s, err := server.StartAtlas(ctx)
			if err != nil {
				return Workload{}, err
			}
			tile := func(column, row int) (*http.Request, error) {
				return http.NewRequest(http.MethodGet, fmt.Sprintf("http://%s/tiles/%d/%d", s.Addr, column, row), nil)
			}
			return Workload{
				Server: s,
				Load: httpLoad(8, 150, func(r *rand.Rand) (*http.Request, error) {
					switch n := r.IntN(100); {
					case n == 0:
						return tile(1000+r.IntN(1000), r.IntN(1000))
					case n < 20:
						return http.NewRequest(http.MethodGet, "http://"+s.Addr+"/legend", nil)
					}
					return tile(r.IntN(300), r.IntN(200))
				}),
				Fault: func(ctx context.Context) (func(), error) {
					return pesterMany(ctx, 3, 40*time.Millisecond, func() (*http.Request, error) {
						return tile(5000+rand.IntN(5000), rand.IntN(5000))
					}), nil
				},
			}, nil
		},
	}
}

// pledgesSessions: a session of SQLAlchemy that is never closed keeps its connection:
// https://docs.sqlalchemy.org/en/14/errors.html#error-3o7r ("QueuePool limit of size <x>
// overflow <y> reached, connection timed out").
func pledgesSessions() Scenario {
	return Scenario{
		Name:   "pledges-sessions",
		Title:  "a Flask server's sessions are left open, and its pool runs dry",
		Server: "pledges", Language: Python, Kind: Exhaustion, Source: Own, Split: Tune,
		Normal: "pledges of donors and for causes, in SQLite by SQLAlchemy, with ten connections and sixteen threads",
		Fault:  "an old page links to a cause that is no more: who follows it leaves a session open",
		// apps/pledges/pledges.py; sqlalchemy/pool/impl.py and util/queue.py, where all
		// wait then.
		Truth:    []string{"show_cause", "QueuePool._do_get", "_do_get", "Queue.get"},
		Patterns: []string{"resource_exhaustion", "lock_wait", "stuck_call", "sleep_in_request"},
		Start: func(ctx context.Context) (Workload, error) {
			s, err := server.StartPledges(ctx)
			if err != nil {
				return Workload{}, err
			}
			get := func(path string, number int) (*http.Request, error) {
				return http.NewRequest(http.MethodGet, fmt.Sprintf("http://%s/%s/%d", s.Addr, path, number), nil)
			}
			return Workload{
				Server: s,
				Load: impatient(httpLoad(12, 100, func(r *rand.Rand) (*http.Request, error) {
					switch n := r.IntN(10); {
					case n == 0:
						return http.NewRequest(http.MethodGet, "http://"+s.Addr+"/about", nil)
					case n < 4:
						return get("causes", r.IntN(20))
					}
					return get("donors", r.IntN(200))
				}), 10*time.Second),
				Fault: func(ctx context.Context) (func(), error) {
					return pester(ctx, 50*time.Millisecond, func() (*http.Request, error) { return get("causes", 99) }), nil
				},
			}, nil
		},
	}
}
