package scenario

import (
	"context"

	"github.com/perfscope/perfscope/testbed/server"
)

// javaRetrySleep: a request sleeps between its attempts to ask a peer that is
// busy, twice as long each time, in the thread that others wait for. The
// mechanism of HBase's callers (https://github.com/apache/hbase/pull/4349,
// HBASE-26955: the pause between retries is too long).
func javaRetrySleep() Scenario {
	return Scenario{
		Name:   "java-retry-sleep",
		Title:  "requests of a Java server sleep between retries",
		Server: "parcels", Language: Java, Kind: Sleep, Source: Own, Split: Report,
		Normal: "a quote in seven asks the rates service, which answers at once",
		Fault:  "the rates service is busy and refuses two questions of three: asked again after 15, 30, 60, 120 ms",
		// apps/parcels, RatesClient.fetch sleeps in the worker's thread; the
		// optimising compiler may make it part of cents, its only caller.
		Truth:    []string{"parcels.peer.RatesClient.fetch", "parcels.peer.RatesClient.cents"},
		Patterns: []string{"sleep_in_request"},
		Start: func(ctx context.Context) (Workload, error) {
			return startParcels(ctx, func(_ context.Context, _ *server.Server, rates *ratesService) (func(), error) {
				rates.busy.Store(66)
				return func() { rates.busy.Store(0) }, nil
			})
		},
	}
}
