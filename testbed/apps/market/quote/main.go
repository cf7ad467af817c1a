// Command quote tells prices over gRPC.
package main

import (
	"context"
	"flag"
	"log"
	"net"
	"net/http"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/perfscope/perfscope/testbed/apps/market/telemetry"
)

func main() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() error {
	listen := flag.String("listen", "127.0.0.1:8081", "address to listen on")
	data := flag.String("data", ".", "directory for what is written down")
	admin := flag.String("admin", "127.0.0.1:8091", "address of the switch")
	flag.Parse()
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer cancel()
	stop, err := telemetry.Start(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = stop(context.Background()) }()
	written, err := openAudit(*data)
	if err != nil {
		return err
	}
	q := &quotes{tariffs: newTariffs(400_000), audit: written}
	go func() {
		mux := http.NewServeMux()
		mux.Handle("/fault", telemetry.Switch(q.unsorted.Store))
		mux.Handle("/convoy", telemetry.Switch(q.audited.Store))
		log.Print((&http.Server{Addr: *admin, Handler: mux, ReadHeaderTimeout: 10 * time.Second}).ListenAndServe())
	}()
	l, err := net.Listen("tcp", *listen)
	if err != nil {
		return err
	}
	server := grpc.NewServer(grpc.StatsHandler(otelgrpc.NewServerHandler()))
	server.RegisterService(&service, q)
	go func() {
		<-ctx.Done()
		server.GracefulStop()
	}()
	return server.Serve(l)
}

// quotes answers requests.
type quotes struct {
	tariffs *tariffs
	// unsorted has tariffs looked for one by one.
	unsorted atomic.Bool
	// audited has every price written down.
	audited atomic.Bool
	audit   *audit
}

// price is the price of an item in cents.
func (q *quotes) price(ctx context.Context, item int64) int64 {
	if q.unsorted.Load() {
		telemetry.Mark(ctx)
		return q.tariffs.scan(item)
	}
	cents := q.tariffs.find(item)
	if q.audited.Load() {
		telemetry.Mark(ctx)
		q.audit.record(item, cents)
	}
	return cents
}

// service describes market.Quote by hand: one method needs no generator.
var service = grpc.ServiceDesc{
	ServiceName: "market.Quote",
	HandlerType: (*any)(nil),
	Methods: []grpc.MethodDesc{{
		MethodName: "Price",
		Handler: func(srv any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			item := &wrapperspb.Int64Value{}
			if err := decode(item); err != nil {
				return nil, err
			}
			return wrapperspb.Int64(srv.(*quotes).price(ctx, item.Value)), nil
		},
	}},
}
