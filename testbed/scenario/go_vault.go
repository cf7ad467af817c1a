package scenario

import (
	"context"
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/perfscope/perfscope/testbed/load"
	"github.com/perfscope/perfscope/testbed/server"
)

// vaultHandshakes: clients that do not read an answer to its end, or have no idle
// connections left, make a handshake for every request:
// https://pkg.go.dev/net/http#Response tells them not to.
func vaultHandshakes() Scenario {
	return Scenario{
		Name:   "vault-handshakes",
		Title:  "a Go server makes a TLS handshake for every request",
		Server: "vault", Language: Go, Kind: Churn, Source: Own, Split: Tune,
		Normal: "settings are asked for over TLS, on connections that stay",
		Fault:  "a new release of the clients opens a connection for every request",
		// Go's crypto/tls/handshake_server.go.
		Truth:    []string{"crypto/tls.(*Conn).serverHandshake"},
		Patterns: []string{"long_computation", "connection_churn"},
		Start: func(ctx context.Context) (Workload, error) {
			s, err := server.StartGoApp(ctx, "vault")
			if err != nil {
				return Workload{}, err
			}
			var single atomic.Bool
			next := func(r *rand.Rand) (*http.Request, error) {
				request, err := http.NewRequest(http.MethodGet, fmt.Sprintf("https://%s/settings/service-%d", s.Addr, r.IntN(50)), nil)
				if err == nil {
					request.Close = single.Load()
				}
				return request, err
			}
			return Workload{
				Server: s,
				Load: load.Config{Workers: 8, Rate: 200, Dial: func() (load.Client, error) {
					return httpRequests{next: next, http: &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{
						TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, // it made its certificate itself
					}}}, nil
				}},
				Fault: func(context.Context) (func(), error) {
					single.Store(true)
					return func() {}, nil
				},
			}, nil
		},
	}
}
