// Command front is the market's web shop: it asks for a price and for what is
// in stock, and shows a page.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"os/signal"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/perfscope/perfscope/testbed/apps/market/telemetry"
)

func main() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() error {
	listen := flag.String("listen", "127.0.0.1:8080", "address to listen on")
	quote := flag.String("quote", "127.0.0.1:8081", "address of the quote service")
	stock := flag.String("stock", "127.0.0.1:8082", "address of the stock service")
	flag.Parse()
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer cancel()
	stop, err := telemetry.Start(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = stop(context.Background()) }()
	conn, err := grpc.NewClient(*quote, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithStatsHandler(otelgrpc.NewClientHandler()))
	if err != nil {
		return err
	}
	s := &shop{
		quote: conn, stock: "http://" + *stock,
		http: http.Client{Transport: otelhttp.NewTransport(http.DefaultTransport), Timeout: 10 * time.Second},
	}
	mux := http.NewServeMux()
	mux.Handle("/order", otelhttp.NewHandler(http.HandlerFunc(s.order), "GET /order"))
	mux.Handle("/about", otelhttp.NewHandler(http.HandlerFunc(s.about), "GET /about"))
	mux.Handle("/fault", telemetry.Switch(s.detailed.Store))
	server := &http.Server{Addr: *listen, Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		<-ctx.Done()
		_ = server.Close()
	}()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// shop answers requests.
type shop struct {
	quote grpc.ClientConnInterface
	stock string
	http  http.Client
	// detailed has the page show a table of everything that is in stock.
	detailed atomic.Bool
}

// order shows an item with its price and stock.
func (s *shop) order(w http.ResponseWriter, r *http.Request) {
	item, _ := strconv.ParseInt(r.URL.Query().Get("item"), 10, 64)
	price := &wrapperspb.Int64Value{}
	if err := s.quote.Invoke(r.Context(), "/market.Quote/Price", wrapperspb.Int64(item), price); err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	left, err := s.inStock(r.Context(), item)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	p := page{item: item, price: price.Value, left: left}
	if s.detailed.Load() {
		telemetry.Mark(r.Context())
		p.rows = 600
	}
	_, _ = io.WriteString(w, p.html())
}

// about is a page that asks nobody.
func (s *shop) about(w http.ResponseWriter, _ *http.Request) {
	_, _ = io.WriteString(w, "<html><body>We sell things.</body></html>")
}

func (s *shop) inStock(ctx context.Context, item int64) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s/stock?item=%d", s.stock, item), nil)
	if err != nil {
		return "", err
	}
	response, err := s.http.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("stock: %s: %s", response.Status, body)
	}
	return string(body), err
}
