package scenario

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"

	"github.com/perfscope/perfscope/testbed/load"
	"github.com/perfscope/perfscope/testbed/server"
)

// ledgerRelease: the process that is slow has no past; the service has.
func ledgerRelease() Scenario {
	return Scenario{
		Name:   "ledger-release",
		Title:  "a Go server is replaced by a release whose handler costs a thousand times as much",
		Server: "ledger", Language: Go, Kind: Computation, Source: Own, Split: Tune,
		Normal: "totals and lines of the accounts of a club",
		Fault:  "the next release is installed and started: its handler of totals looks through all lines",
		// apps/ledger/account_next.go.
		Truth:    []string{"main.(*ledger).showAccount"},
		Patterns: []string{"long_computation"},
		Start: func(ctx context.Context) (Workload, error) {
			s, err := server.StartLedger(ctx)
			if err != nil {
				return Workload{}, err
			}
			return Workload{
				Server: s,
				Load:   LedgerLoad(s),
				Fault:  func(ctx context.Context) (func(), error) { return func() {}, server.UpdateLedger(ctx, s) },
			}, nil
		},
	}
}

// LedgerLoad asks a ledger for totals and lines.
func LedgerLoad(s *server.Server) load.Config {
	return httpLoad(8, 300, func(r *rand.Rand) (*http.Request, error) {
		if r.IntN(2) == 0 {
			return http.NewRequest(http.MethodGet, fmt.Sprintf("http://%s/lines/%d", s.Addr, r.IntN(500_000)), nil)
		}
		return http.NewRequest(http.MethodGet, fmt.Sprintf("http://%s/accounts/%d", s.Addr, r.IntN(500)), nil)
	})
}
