package scenario

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/perfscope/perfscope/testbed/server"
)

// alertmanagerSilences: whenever a silence is added, every alert is tried on every
// silence there is.
func alertmanagerSilences() Scenario {
	const silence = "github.com/prometheus/alertmanager/silence."
	return Scenario{
		Name:   "alertmanager-silences",
		Title:  "Alertmanager tries every alert on the silences of all deployments that ever ran",
		Server: "alertmanager", Language: Go, Kind: Computation, Source: Debian, Split: Report,
		Normal: "three hundred alerts are repeated by two Prometheus and looked at by dashboards; people add a silence every two seconds",
		Fault:  "a deployment pipeline adds a silence of eight hours for each pod it replaces, forty a second, with a regular expression on its name",
		// https://github.com/prometheus/alertmanager/blob/v0.25.0/silence/silence.go:
		// Mutes asks for all silences again when their version has moved, and
		// query tries the matchers of each on the alert.
		Truth: []string{
			silence + "(*Silencer).Mutes", silence + "(*Silences).Query", silence + "(*Silences).QueryOne", silence + "(*Silences).query",
			silence + "QMatches.func1", silence + "QMatches.func1.1", silence + "(*matcherCache).Get",
			"github.com/prometheus/alertmanager/pkg/labels.(*Matcher).Matches", "github.com/prometheus/alertmanager/pkg/labels.Matchers.Matches",
		},
		Patterns: []string{"long_computation"},
		Start: func(ctx context.Context) (Workload, error) {
			s, err := server.StartAlertmanager(ctx)
			if err != nil {
				return Workload{}, err
			}
			api := "http://" + s.Addr + "/api/v2/"
			return Workload{
				Server: s,
				Load: httpLoad(6, 30, func(r *rand.Rand) (*http.Request, error) {
					switch n := r.IntN(60); {
					case n == 0:
						return postJSON(api+"silences", newSilence(fmt.Sprint("desk-", r.IntN(1000))))
					case n < 30:
						return postJSON(api+"alerts", someAlerts(r))
					}
					return http.NewRequest(http.MethodGet, api+fmt.Sprintf("alerts?filter=team=%%22team-%d%%22", r.IntN(10)), nil)
				}),
				Fault: func(ctx context.Context) (func(), error) {
					pod := 0
					return pester(ctx, time.Second/40, func() (*http.Request, error) {
						pod++
						return postJSON(api+"silences", newSilence(fmt.Sprintf("shop-%08x-.*", pod)))
					}), nil
				},
			}, nil
		},
	}
}

func newSilence(pods string) map[string]any {
	now := time.Now().UTC()
	return map[string]any{
		"matchers": []map[string]any{{"name": "pod", "value": pods, "isRegex": true, "isEqual": true}},
		"startsAt": now, "endsAt": now.Add(8 * time.Hour), "createdBy": "pipeline", "comment": "deployment",
	}
}

func someAlerts(r *rand.Rand) (alerts []map[string]any) {
	for range 10 {
		i := r.IntN(300)
		alerts = append(alerts, map[string]any{"labels": map[string]string{
			"alertname": fmt.Sprint("alert-", i%20), "team": fmt.Sprint("team-", i%10), "pod": fmt.Sprintf("web-%d", i),
		}})
	}
	return alerts
}
