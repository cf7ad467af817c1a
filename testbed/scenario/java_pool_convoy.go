package scenario

import (
	"context"
	"time"

	"github.com/perfscope/perfscope/testbed/server"
)

// javaPoolConvoy: a pool tries every connection before it hands it out, and
// holds its lock meanwhile. The mechanism of JBJCA-1403
// (https://github.com/ironjacamar/ironjacamar/pull/700, validation moved out
// of the lock) and of every borrow validated
// (https://github.com/OpenIdentityPlatform/OpenDJ/issues/879).
func javaPoolConvoy() Scenario {
	return Scenario{
		Name:   "java-pool-convoy",
		Title:  "threads of a Java server queue behind its connection pool",
		Server: "parcels", Language: Java, Kind: LockConvoy, Source: Own, Split: Report,
		Normal: "a quote in seven asks the rates service; its connections are tried before use, in 0.1 ms",
		Fault:  "the rates service takes 20 ms to answer the try: the pool's lock is held for all of it",
		// apps/parcels, PeerPool.borrow calls PeerConnection.alive under the
		// pool's lock.
		Truth:    []string{"parcels.peer.PeerPool.borrow", "parcels.peer.PeerConnection.alive"},
		Patterns: []string{"lock_wait", "blocked_io"},
		Start: func(ctx context.Context) (Workload, error) {
			return startParcels(ctx, func(_ context.Context, _ *server.Server, rates *ratesService) (func(), error) {
				rates.slowPing.Store(int64(20 * time.Millisecond))
				return func() { rates.slowPing.Store(0) }, nil
			})
		},
	}
}
