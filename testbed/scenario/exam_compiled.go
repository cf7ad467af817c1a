package scenario

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/perfscope/perfscope/testbed/server"
)

// examCompiled are mistakes with threads and locks in compiled languages.
func examCompiled() []Scenario { return []Scenario{rostersMonths(), safesDurable()} }

// rostersMonths: tasks wait for others that are queued behind them in one pool:
// https://wiki.sei.cmu.edu/confluence/display/java/TPS01-J.
func rostersMonths() Scenario {
	return Scenario{
		Name:   "rosters-months",
		Title:  "a Java server's pool waits for tasks that only it could do",
		Server: "rosters", Language: Java, Kind: Exhaustion, Source: Own, Split: Tune,
		Normal: "days of a roster, and now and then a month, whose days are planned by the threads that have the requests",
		Fault:  "it is the end of the month, and ten wards look at theirs one after the other",
		// apps/rosters: who waits in the pool for the pool.
		Truth:    []string{"rosters.Rosters.planMonth", "rosters.Rosters.await"},
		Patterns: []string{"lock_wait", "stuck_call", "resource_exhaustion", "sleep_in_request"},
		Start: func(ctx context.Context) (Workload, error) {
			s, err := server.StartRosters(ctx)
			if err != nil {
				return Workload{}, err
			}
			month := func() (*http.Request, error) {
				return http.NewRequest(http.MethodGet, fmt.Sprintf("http://%s/months/%d", s.Addr, rand.IntN(12)), nil)
			}
			return Workload{
				Server: s,
				Load: impatient(httpLoad(12, 120, func(r *rand.Rand) (*http.Request, error) {
					if r.IntN(50) == 0 {
						return month()
					}
					return http.NewRequest(http.MethodGet, fmt.Sprintf("http://%s/duties/%d", s.Addr, r.IntN(365)), nil)
				}), 10*time.Second),
				Fault: func(ctx context.Context) (func(), error) {
					return pesterMany(ctx, 10, 20*time.Millisecond, month), nil
				},
			}, nil
		},
	}
}

// safesDurable: a lock is held until the disk has what was written, and those who only
// read need it, too.
func safesDurable() Scenario {
	return Scenario{
		Name:   "safes-durable",
		Title:  "a Go server syncs its log with a mutex held",
		Server: "safes", Language: Go, Kind: SyncWrite, Source: Own, Split: Tune,
		Normal: "boxes are shown and opened; who opens one is written into a log",
		Fault:  "an auditor has had the log made durable: each line waits for the disk",
		// apps/safes/audit.go.
		Truth:    []string{"main.(*audit).record"},
		Patterns: []string{"sync_write_per_operation", "lock_wait"},
		Start: func(ctx context.Context) (Workload, error) {
			s, err := server.StartSafes(ctx)
			if err != nil {
				return Workload{}, err
			}
			return Workload{
				Server: s,
				Load: httpLoad(16, 800, func(r *rand.Rand) (*http.Request, error) {
					box := fmt.Sprintf("http://%s/boxes/%d", s.Addr, r.IntN(4000))
					if r.IntN(2) == 0 {
						return http.NewRequest(http.MethodPost, box, nil)
					}
					return http.NewRequest(http.MethodGet, box, nil)
				}),
				Fault: func(ctx context.Context) (func(), error) {
					request, err := http.NewRequest(http.MethodPut, "http://"+s.Addr+"/durable/true", nil)
					if err != nil {
						return nil, err
					}
					return func() {}, send(ctx, http.DefaultClient, request)
				},
			}, nil
		},
	}
}
