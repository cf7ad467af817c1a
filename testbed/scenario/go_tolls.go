package scenario

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"time"

	"github.com/perfscope/perfscope/testbed/load"
	"github.com/perfscope/perfscope/testbed/server"
)

// tollsTariff: a mutex is held while another service is asked, so that all who need
// what it guards wait for that service one after the other.
func tollsTariff() Scenario {
	return Scenario{
		Name:   "tolls-tariff",
		Title:  "a Go server holds a mutex while another service answers",
		Server: "tolls", Language: Go, Kind: LockConvoy, Source: Own, Split: Report,
		Normal: "tolls of a tariff that is fetched four times a second, passages into a journal, a list of roads",
		Fault:  "the service that has the tariff takes two seconds for each answer",
		// apps/tolls/tariff.go: who takes the lock, and who asks with it held.
		Truth:    []string{"main.(*tariff).current", "main.(*tariff).fetch"},
		Patterns: []string{"lock_wait", "stuck_call", "blocked_io"},
		Start: func(ctx context.Context) (Workload, error) {
			return startTolls(ctx, func(_ context.Context, a *application, _ *server.Server) (func(), error) {
				return a.slowRates(2 * time.Second), nil
			})
		},
	}
}

// tollsJournal: the goroutine that takes from a channel returns on an error, and
// once the channel is full everybody who sends waits for ever.
func tollsJournal() Scenario {
	return Scenario{
		Name:   "tolls-journal",
		Title:  "a Go server's channel has no consumer any more",
		Server: "tolls", Language: Go, Kind: Hang, Source: Own, Split: Report,
		Normal: "tolls of a tariff that is fetched four times a second, passages into a journal, a list of roads",
		Fault:  "one passage has a number plate that the journal does not take; its writer ends, and the channel before it fills",
		// apps/tolls/journal.go: where all wait, and who takes nothing any more.
		Truth:    []string{"main.(*journal).record", "main.(*journal).write"},
		Patterns: []string{"stuck_call", "lock_wait", "resource_exhaustion"},
		Start: func(ctx context.Context) (Workload, error) {
			return startTolls(ctx, func(ctx context.Context, _ *application, s *server.Server) (func(), error) {
				request, err := http.NewRequest(http.MethodPost, "http://"+s.Addr+"/passages/"+url.PathEscape("Ü-X 1"), nil)
				if err != nil {
					return nil, err
				}
				return func() {}, send(ctx, http.DefaultClient, request)
			})
		},
	}
}

func startTolls(ctx context.Context, fault func(context.Context, *application, *server.Server) (func(), error)) (Workload, error) {
	a, err := startApplication()
	if err != nil {
		return Workload{}, err
	}
	s, err := server.StartTolls(ctx, a.addr)
	if err != nil {
		return stopApplication(err, a)
	}
	return Workload{
		Server: s,
		Load:   tollsLoad(s),
		Fault:  func(ctx context.Context) (func(), error) { return fault(ctx, a, s) },
		Stop:   a.stop,
	}, nil
}

// tollsLoad is cars that pass, and drivers who ask what it costs; who waits for five
// seconds gives up.
func tollsLoad(s *server.Server) load.Config {
	return impatient(httpLoad(24, 240, func(r *rand.Rand) (*http.Request, error) {
		base := "http://" + s.Addr
		switch n := r.IntN(10); {
		case n < 2:
			return http.NewRequest(http.MethodGet, base+"/roads", nil)
		case n < 6:
			return http.NewRequest(http.MethodGet, fmt.Sprintf("%s/tolls/%d", base, 2+r.IntN(4)), nil)
		}
		return http.NewRequest(http.MethodPost, fmt.Sprintf("%s/passages/B-%04d", base, r.IntN(10000)), nil)
	}), 5*time.Second)
}
