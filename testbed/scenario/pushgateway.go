package scenario

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"github.com/perfscope/perfscope/testbed/server"
)

// pushgatewayGroups: every push is tried on a copy of all that was ever pushed.
func pushgatewayGroups() Scenario {
	const storage = "github.com/prometheus/pushgateway/storage.(*DiskMetricStore)."
	return Scenario{
		Name:   "pushgateway-groups",
		Title:  "the Pushgateway checks each push against the groups of every job that ever ran",
		Server: "pushgateway", Language: Go, Kind: Computation, Source: Debian, Split: Report,
		Normal: "thirty batch jobs push ten metrics each; they are scraped every five seconds",
		Fault:  "jobs begin to push under an instance of their own for each run, as pods do, and nobody deletes these: 60 new groups a second",
		// https://github.com/prometheus/pushgateway/blob/v1.5.1/storage/diskmetricstore.go:
		// checkWriteRequest copies all groups, adds the push and gathers all
		// of it (README, "--push.disable-consistency-check").
		Truth: []string{
			storage + "checkWriteRequest", storage + "checkWriteRequest.func1", storage + "checkWriteRequest.func2",
			storage + "GetMetricFamilies", storage + "GetMetricFamilies.func1", storage + "GetMetricFamiliesMap",
			"github.com/prometheus/client_golang/prometheus.Gatherers.Gather",
		},
		Patterns: []string{"long_computation"},
		Start: func(ctx context.Context) (Workload, error) {
			s, err := server.StartPushgateway(ctx)
			if err != nil {
				return Workload{}, err
			}
			return Workload{
				Server: s,
				Load: httpLoad(4, 40, func(r *rand.Rand) (*http.Request, error) {
					if r.IntN(200) == 0 {
						return http.NewRequest(http.MethodGet, "http://"+s.Addr+"/metrics", nil)
					}
					return push(s.Addr, fmt.Sprint("job-", r.IntN(30)), "main", r)
				}),
				Fault: func(ctx context.Context) (func(), error) {
					r, run := rand.New(rand.NewPCG(1, 2)), 0
					return pester(ctx, time.Second/60, func() (*http.Request, error) {
						run++
						return push(s.Addr, fmt.Sprint("job-", run%30), fmt.Sprint("run-", run), r)
					}), nil
				},
			}, nil
		},
	}
}

func push(addr, job, instance string, r *rand.Rand) (*http.Request, error) {
	var b strings.Builder
	for i := range 10 {
		fmt.Fprintf(&b, "# TYPE batch_step_%d_seconds gauge\nbatch_step_%d_seconds{phase=\"load\"} %d\n", i, i, r.IntN(1000))
	}
	return http.NewRequest(http.MethodPut, "http://"+addr+"/metrics/job/"+job+"/instance/"+instance, strings.NewReader(b.String()))
}
