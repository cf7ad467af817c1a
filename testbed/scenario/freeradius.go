package scenario

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/perfscope/perfscope/testbed/client"
	"github.com/perfscope/perfscope/testbed/load"
	"github.com/perfscope/perfscope/testbed/server"
)

// freeradiusBackend: all threads of the server wait for the service that knows
// the accounts, one request each.
func freeradiusBackend() Scenario {
	return Scenario{
		Name:   "freeradius-backend",
		Title:  "the threads of freeradius wait for a slow service",
		Server: "freeradius", Language: C, Kind: Hang, Source: Debian, Split: Tune,
		Normal: "access is asked for a hundred times a second; rlm_rest asks a service that answers in two milliseconds",
		Fault:  "the service takes a second for each account",
		// https://github.com/FreeRADIUS/freeradius-server/blob/v3.2.x/src/modules/rlm_rest/rest.c:
		// it has libcurl send the request and wait for the answer.
		Truth:    []string{"rest_request_perform"},
		Patterns: []string{"blocked_io", "stuck_call"},
		Start: func(ctx context.Context) (Workload, error) {
			a, err := startApplication()
			if err != nil {
				return Workload{}, err
			}
			s, err := server.StartFreeRADIUS(ctx, a.addr)
			if err != nil {
				return stopApplication(err, a)
			}
			return Workload{
				Server: s,
				Load: load.Config{Workers: 20, Rate: 100, Dial: func() (load.Client, error) {
					c, err := client.DialRADIUS(s.Addr, server.RADIUSSecret)
					return radiusClient{c}, err
				}},
				Fault: func(context.Context) (func(), error) { return a.slowRates(time.Second), nil },
				Stop:  a.stop,
			}, nil
		},
	}
}

type radiusClient struct{ *client.RADIUS }

func (c radiusClient) Request(r *rand.Rand) error {
	return c.Login(fmt.Sprintf("user%d", r.IntN(500)), "secret")
}
