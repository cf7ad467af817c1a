package scenario

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthgrpc "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/perfscope/perfscope/testbed/server"
)

// fourthCompiled are mistakes in compiled languages.
func fourthCompiled() []Scenario {
	return []Scenario{canteenGuests(), marinaLevel(), weirsRules()}
}

// kitchenDishes is how many dishes a kitchen knows.
const kitchenDishes = 200

// startKitchen starts a service over gRPC that says of dish0, dish1 and on how they are.
func startKitchen() (addr string, stop func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	dishes := health.NewServer()
	for i := range kitchenDishes {
		dishes.SetServingStatus(fmt.Sprintf("dish%d", i), healthgrpc.HealthCheckResponse_SERVING)
	}
	s := grpc.NewServer()
	healthgrpc.RegisterHealthServer(s, dishes)
	go func() { _ = s.Serve(l) }()
	return l.Addr().String(), s.Stop, nil
}

// canteenGuests: a channel of gRPC is made to be kept:
// https://grpc.io/docs/guides/performance/ ("Always re-use stubs and channels when possible").
func canteenGuests() Scenario {
	return Scenario{
		Name:   "canteen-guests",
		Title:  "a Go server makes a gRPC connection for each question",
		Server: "canteen", Language: Go, Kind: Churn, Source: Own, Split: Tune,
		Normal: "menus are shown, and what dishes contain, which its own kitchen knows",
		Fault:  "people ask of the dishes of guests, two hundred times a second",
		// apps/canteen/kitchens/kitchens.go, and what grpc does for a new connection:
		// clientconn.go, internal/transport/http2_client.go.
		Truth: []string{
			"github.com/perfscope/perfscope/testbed/apps/canteen/kitchens.(*Book).elsewhere",
			"github.com/perfscope/perfscope/testbed/apps/canteen/kitchens.reach",
			"google.golang.org/grpc.NewClient", "google.golang.org/grpc.(*addrConn).resetTransportAndUnlock", "google.golang.org/grpc.(*addrConn).connect",
			"google.golang.org/grpc.(*addrConn).createTransport", "google.golang.org/grpc.(*addrConn).tryAllAddrs",
			"google.golang.org/grpc/internal/transport.NewHTTP2Client", "google.golang.org/grpc.(*ClientConn).Close",
		},
		Patterns: []string{"connection_churn", "long_computation", "blocked_io", "memory_map_churn"},
		Start: func(ctx context.Context) (Workload, error) {
			own, stopOwn, err := startKitchen()
			if err != nil {
				return Workload{}, err
			}
			guest, stopGuest, err := startKitchen()
			if err != nil {
				stopOwn()
				return Workload{}, err
			}
			stop := func() { stopOwn(); stopGuest() }
			s, err := server.StartCanteen(ctx, own, guest)
			if err != nil {
				stop()
				return Workload{}, err
			}
			return Workload{
				Server: s,
				Load: getting(8, 200, s.Addr, func(r *rand.Rand) string {
					if r.IntN(3) == 0 {
						return fmt.Sprintf("/menu/%d", r.IntN(300))
					}
					return fmt.Sprintf("/dishes/own/dish%d", r.IntN(kitchenDishes))
				}),
				Fault: func(ctx context.Context) (func(), error) {
					return pesterMany(ctx, 4, 20*time.Millisecond, func() (*http.Request, error) {
						return http.NewRequest(http.MethodGet, fmt.Sprintf("http://%s/dishes/guest0/dish%d", s.Addr, rand.IntN(kitchenDishes)), nil)
					}), nil
				},
				Stop: stop,
			}, nil
		},
	}
}

// marinaLevel: a level that says all, left on, with the caller of each line:
// https://logback.qos.ch/manual/layouts.html ("Generating the line number information is not
// particularly fast. Thus, its use should be avoided").
func marinaLevel() Scenario {
	return Scenario{
		Name:   "marina-level",
		Title:  "a Java server writes 240 lines of log for each boat",
		Server: "marina", Language: Java, Kind: TinyIO, Source: Own, Split: Tune,
		Normal: "boats get berths, each a line of the log, and tides are shown",
		Fault:  "somebody has the level set to DEBUG, to look into something",
		// apps/marina/src/marina/Berths.java, and logback's Logger.java, CallerData.java,
		// OutputStreamAppender.java.
		Truth: []string{
			"marina.Berths.suits", "marina.Berths.moor", "ch.qos.logback.classic.Logger.debug", "ch.qos.logback.classic.Logger.filterAndLog_0_Or3Plus",
			"ch.qos.logback.classic.Logger.buildLoggingEventAndAppend", "ch.qos.logback.classic.Logger.callAppenders",
			"ch.qos.logback.classic.Logger.appendLoopOnAppenders", "ch.qos.logback.classic.spi.CallerData.extract",
			"ch.qos.logback.classic.spi.LoggingEvent.getCallerData",
			"ch.qos.logback.core.OutputStreamAppender.append", "ch.qos.logback.core.OutputStreamAppender.subAppend", "ch.qos.logback.core.OutputStreamAppender.writeBytes",
			"ch.qos.logback.core.FileAppender.subAppend", "ch.qos.logback.core.FileAppender.writeOut", "ch.qos.logback.core.UnsynchronizedAppenderBase.doAppend",
		},
		Patterns: []string{"tiny_io", "long_computation", "lock_wait"},
		Start: func(ctx context.Context) (Workload, error) {
			s, err := server.StartMarina(ctx)
			if err != nil {
				return Workload{}, err
			}
			return Workload{
				Server: s,
				Load: getting(8, 150, s.Addr, func(r *rand.Rand) string {
					if r.IntN(3) == 0 {
						return fmt.Sprintf("/boats/%d", r.IntN(900))
					}
					return fmt.Sprintf("/tides/%d", r.IntN(365))
				}),
				Fault: func(ctx context.Context) (func(), error) {
					request, err := http.NewRequest(http.MethodGet, "http://"+s.Addr+"/loggers/DEBUG", nil)
					if err != nil {
						return nil, err
					}
					return func() {}, send(ctx, http.DefaultClient, request)
				},
			}, nil
		},
	}
}

// weirsRules: a regular expression is compiled for each use:
// https://docs.rs/regex/1.7.1/regex/#example-avoid-compiling-the-same-regex-in-a-loop.
func weirsRules() Scenario {
	return Scenario{
		Name:   "weirs-rules",
		Title:  "Rust on tokio: forty expressions are compiled for each message",
		Server: "weirs", Language: Rust, Kind: Computation, Source: Own, Split: Tune,
		Normal: "messages are sorted by the one or two rules of who reads them, and gauges shown",
		Fault:  "a ministry, which has forty rules, has messages sorted, forty a second",
		// apps/weirs/src/rules.rs, and regex's own that compiles.
		Truth: []string{
			"weirs::rules::suits", "weirs::rules::Rules::sort", "regex::re_unicode::Regex::new",
			"regex::re_builder::unicode::RegexBuilder::build", "regex::exec::ExecBuilder::build", "regex::exec::ExecBuilder::parse", "regex::compile::Compiler::compile",
		},
		Patterns: []string{"long_computation", "memory_map_churn"},
		Start: func(ctx context.Context) (Workload, error) {
			s, err := server.StartWeirs(ctx)
			if err != nil {
				return Workload{}, err
			}
			return Workload{
				Server: s,
				Load: getting(8, 200, s.Addr, func(r *rand.Rand) string {
					if r.IntN(3) == 0 {
						return fmt.Sprintf("/messages/%d/%d", r.IntN(200), r.IntN(10_000))
					}
					return fmt.Sprintf("/gauges/%d", r.IntN(300))
				}),
				Fault: func(ctx context.Context) (func(), error) {
					return pesterMany(ctx, 2, 50*time.Millisecond, func() (*http.Request, error) {
						return http.NewRequest(http.MethodGet, fmt.Sprintf("http://%s/messages/900/%d", s.Addr, rand.IntN(10_000)), nil)
					}), nil
				},
			}, nil
		},
	}
}
