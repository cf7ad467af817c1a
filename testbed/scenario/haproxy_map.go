package scenario

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"

	"github.com/perfscope/perfscope/testbed/server"
)

// haproxyMap: a map is read through a tree, but written by walking the list of
// its entries.
func haproxyMap() Scenario {
	return Scenario{
		Name:   "haproxy-map",
		Title:  "haproxy computes: every login walks the list of a large map",
		Server: "haproxy", Language: C, Kind: Computation, Source: Debian, Split: Tune,
		Quick:  true,
		Normal: "two threads pass requests to a server; a login notes the user's address in a map of a few hundred",
		Fault:  "the users of another site are added to the map through the stats socket, 120,000 of them",
		// src/pattern.c: pat_ref_find_elt and pat_ref_set compare the key
		// with every entry, under the map's lock; from 2.9 on they use a
		// tree. https://github.com/haproxy/haproxy/issues/1052 and 2189. The
		// third is http_action_set_map (src/http_act.c), which calls both and
		// spins on that lock; it has no name in Debian's binary and is shown
		// by where it starts (2.6.12-1+deb12u4).
		Truth:    []string{"pat_ref_find_elt", "pat_ref_set", "haproxy+0x1b0c60"},
		Patterns: []string{"long_computation"},
		Start: func(ctx context.Context) (Workload, error) {
			a, err := startApplication()
			if err != nil {
				return Workload{}, err
			}
			s, err := server.StartHAProxy(ctx, []string{
				"http-request set-map(users.map) %[req.hdr(x-user)] %[src] if { path /app/login }",
				"http-request set-header x-home %[req.hdr(x-user),map_str(users.map,none)]",
			}, []string{"server a " + a.addr})
			if err != nil {
				return stopApplication(err, a)
			}
			return Workload{
				Server: s,
				Load: httpLoad(12, 500, func(r *rand.Rand) (*http.Request, error) {
					request, err := appRequest(s.Addr, r)
					if err == nil && r.IntN(10) == 0 {
						request, err = http.NewRequest(http.MethodPost, "http://"+s.Addr+"/app/login", nil)
					}
					if err == nil {
						request.Header.Set("x-user", fmt.Sprintf("user%03d", r.IntN(300)))
					}
					return request, err
				}),
				Fault: func(ctx context.Context) (func(), error) { return func() {}, addUsers(ctx, s, 120_000) },
				Stop:  a.stop,
			}, nil
		},
	}
}

// addUsers adds entries to the map, as many at a time as a command may hold.
func addUsers(ctx context.Context, s *server.Server, n int) error {
	const batch = 400
	for first := 0; first < n; first += batch {
		var command strings.Builder
		command.WriteString("add map users.map <<\n")
		for i := first; i < first+batch; i++ {
			fmt.Fprintf(&command, "visitor-%08x 10.%d.%d.%d\n", uint32(i)*2654435761, i>>16&255, i>>8&255, i&255)
		}
		answer, err := server.HAProxyDo(s, command.String())
		if err != nil {
			return err
		}
		if answer = strings.TrimSpace(answer); answer != "" {
			return fmt.Errorf("add map: %s", answer)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}
