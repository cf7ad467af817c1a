package scenario

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/perfscope/perfscope/testbed/server"
)

// javaBufferLeak: what was taken from a pool does not come back when the work
// fails, and who asks the empty pool waits for ever. The mechanism of a
// connection leak (https://github.com/brettwooldridge/HikariCP/issues/859), in
// a pool without a time limit as many are.
func javaBufferLeak() Scenario {
	return Scenario{
		Name:   "java-buffer-leak",
		Title:  "a Java server hangs: its buffers are gone",
		Server: "parcels", Language: Java, Kind: Hang, Source: Own, Split: Tune,
		Normal: "labels are drawn in one of eight buffers, which go round",
		Fault:  "labels are asked for of parcels that have no street: drawing them fails, and each failure keeps a buffer",
		// apps/parcels, LabelRenderer.render gives the buffer back only when
		// nothing failed; BufferPool.take is where everybody waits then.
		Truth:    []string{"parcels.label.LabelRenderer.render", "parcels.label.BufferPool.take"},
		Patterns: []string{"lock_wait", "stuck_call"},
		Start: func(ctx context.Context) (Workload, error) {
			return startParcels(ctx, func(ctx context.Context, s *server.Server, _ *ratesService) (func(), error) {
				return labelWithoutStreet(ctx, s)
			})
		},
	}
}

// labelWithoutStreet registers parcels that are held at the counter and asks
// for their labels, one after the other.
func labelWithoutStreet(ctx context.Context, s *server.Server) (func(), error) {
	// It never hangs up: that would be another bug's trigger (java-half-closed).
	c := &http.Client{}
	base := "http://" + s.Addr
	const first, count = 900000, 10
	for id := first; id < first+count; id++ {
		if err := parcelsDo(ctx, c, http.MethodPut, fmt.Sprintf("%s/parcels/%d", base, id), "Ada Berg||Cork|1200"); err != nil {
			return nil, err
		}
	}
	end := often(ctx, 50*time.Millisecond, func(ctx context.Context, i int) {
		if i < count {
			_ = parcelsDo(ctx, c, http.MethodGet, fmt.Sprintf("%s/label/%d", base, first+i), "") // it fails, that is the point
		}
	})
	return func() { end(); c.CloseIdleConnections() }, nil
}
