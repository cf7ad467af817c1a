package scenario

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/perfscope/perfscope/testbed/server"
)

// stopsNetworks: whether an element is in an array is asked for each element of
// another one, which takes a time that grows with the square.
func stopsNetworks() Scenario {
	return Scenario{
		Name:   "stops-networks",
		Title:  "Ruby computes: each stop is looked for among all that were found",
		Server: "stops", Language: Ruby, Kind: Computation, Source: Own, Split: Report,
		Normal: "timetables of a bus company, the stops that two lines share, and small networks",
		Fault:  "a planner asks four times a second for a network of 200 trips, 5,000 stops",
		// apps/stops/config.ru. Ruby looks in rb_ary_includes, array.c.
		Truth:    []string{"merge_stops", "Object#merge_stops", "rb_ary_includes"},
		Patterns: []string{"long_computation"},
		Start: func(ctx context.Context) (Workload, error) {
			s, err := server.StartStops(ctx)
			if err != nil {
				return Workload{}, err
			}
			network := func(trips int) (*http.Request, error) {
				return rackRequest(fmt.Sprintf("http://%s/networks/%d", s.Addr, trips))
			}
			return Workload{
				Server: s,
				Load: httpLoad(8, 90, func(r *rand.Rand) (*http.Request, error) {
					switch n := r.IntN(20); {
					case n < 10:
						return rackRequest(fmt.Sprintf("http://%s/timetables/%d", s.Addr, r.IntN(60)))
					case n < 19:
						return rackRequest(fmt.Sprintf("http://%s/shared/%d/%d", s.Addr, r.IntN(60), r.IntN(60)))
					}
					return network(4)
				}),
				Fault: func(ctx context.Context) (func(), error) {
					return pester(ctx, 250*time.Millisecond, func() (*http.Request, error) { return network(200) }), nil
				},
			}, nil
		},
	}
}

// rackRequest asks puma as a proxy in front of it does: with a connection of its own.
func rackRequest(url string) (*http.Request, error) {
	request, err := http.NewRequest(http.MethodGet, url, nil)
	if err == nil {
		request.Close = true
	}
	return request, err
}
