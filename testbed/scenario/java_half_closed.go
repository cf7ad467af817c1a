package scenario

import (
	"context"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/perfscope/perfscope/testbed/server"
)

// javaHalfClosed: a client shuts its side of a connection down while it waits
// for an answer. The end of input is there to be read for ever, the selector
// says so at once, again and again, until the answer is sent. The mechanism of
// https://github.com/netty/netty/issues/11968 (netty takes the interest in
// reading away, by the change that is discussed there).
func javaHalfClosed() Scenario {
	return Scenario{
		Name:   "java-half-closed",
		Title:  "a Java server's selector never sleeps: half-closed clients",
		Server: "parcels", Language: Java, Kind: PollNoSleep, Source: Own, Split: Tune,
		Quick:  true,
		Normal: "two selector threads and a pool answer customers and sorting machines",
		Fault:  "three clients that wait for a parcel to move have shut down their side: select returns at once for as long as they wait",
		// apps/parcels, Connection.readable: at the end of input it keeps the
		// interest in reading when an answer is under way. The loop above it
		// only does what it is told.
		Truth:    []string{"parcels.net.Connection.readable", "parcels.net.Connection.peerClosed"},
		Patterns: []string{"poll_without_sleep"},
		Start: func(ctx context.Context) (Workload, error) {
			return startParcels(ctx, func(ctx context.Context, s *server.Server, _ *ratesService) (func(), error) {
				return watchHalfClosed(ctx, s, 3), nil
			})
		},
	}
}

// watchHalfClosed keeps a number of such clients waiting. Their parcels do not
// exist for the other load.
func watchHalfClosed(ctx context.Context, s *server.Server, clients int) func() {
	ends := make([]func(), clients)
	for i := range clients {
		ends[i] = often(ctx, time.Second, func(ctx context.Context, _ int) {
			c, err := net.DialTimeout("tcp", s.Addr, time.Second)
			if err != nil {
				return
			}
			defer c.Close()
			stop := context.AfterFunc(ctx, func() { c.Close() })
			defer stop()
			fmt.Fprintf(c, "GET /watch/%d HTTP/1.1\r\nHost: parcels\r\n\r\n", i+1)
			if c.(*net.TCPConn).CloseWrite() == nil {
				_, _ = io.Copy(io.Discard, c)
			}
		})
	}
	return func() {
		for _, end := range ends {
			end()
		}
	}
}
