package scenario

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/perfscope/perfscope/testbed/server"
)

// javaConcatenation: text grows by += in a loop, so that every line copies all
// the lines before it. The mechanism of
// https://github.com/openmrs/openmrs-core/pull/586 (TRUNK-4226).
func javaConcatenation() Scenario {
	return Scenario{
		Name:   "java-concatenation",
		Title:  "a Java server makes garbage: text that grows by concatenation",
		Server: "parcels", Language: Java, Kind: Allocation, Source: Own, Split: Tune,
		Normal: "the history of a parcel has a handful of lines",
		Fault:  "a parcel went round a sorting machine 3,000 times, and somebody's page asks for its history four times a second",
		// apps/parcels, History.render.
		Truth:    []string{"parcels.store.History.render"},
		Patterns: []string{"long_computation", "memory_map_churn"},
		Start: func(ctx context.Context) (Workload, error) {
			return startParcels(ctx, func(ctx context.Context, s *server.Server, _ *ratesService) (func(), error) {
				return longHistory(ctx, s)
			})
		},
	}
}

func longHistory(ctx context.Context, s *server.Server) (func(), error) {
	c := &http.Client{Timeout: 10 * time.Second}
	const id = 4711
	event := fmt.Sprintf("http://%s/events/%d", s.Addr, id)
	for range 3000 {
		if err := parcelsDo(ctx, c, http.MethodPost, event, "Ghent belt 4|sorted"); err != nil {
			return nil, err
		}
	}
	history := fmt.Sprintf("http://%s/history/%d", s.Addr, id)
	end := often(ctx, 250*time.Millisecond, func(ctx context.Context, _ int) {
		_ = parcelsDo(ctx, c, http.MethodGet, history, "") // may be cut off at the end
	})
	return func() { end(); c.CloseIdleConnections() }, nil
}
