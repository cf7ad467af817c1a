// Command catalog is a shop's product catalogue over HTTP: it keeps the
// products in memory, searches them, takes orders and can be given a new
// catalogue while it runs. It allocates as web applications do, so its garbage
// collector is always busy.
package main

import (
	"context"
	"flag"
	"log"
	"net"
	"net/http"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "host:port to listen on")
	products := flag.Int("products", 20_000, "products of the catalogue")
	pages := flag.Int("pages", 2_000, "rendered search pages to keep")
	flag.Parse()
	if err := serve(*addr, *products, *pages); err != nil {
		log.Fatal(err)
	}
}

func serve(addr string, products, pages int) error {
	shop := newShop(newCatalogue(products, 1), newPageCache(pages, 10*time.Second))
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: shop.routes(), ReadHeaderTimeout: 10 * time.Second}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	context.AfterFunc(ctx, func() { server.Close() })
	go shop.settleOrders(ctx)
	log.Printf("listening on %s with %d products", listener.Addr(), products)
	if err := server.Serve(listener); err != http.ErrServerClosed {
		return err
	}
	return nil
}
