// Command carts keeps the carts of a shop in redis.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net/http"
	"time"

	"github.com/go-redis/redis/v8"
)

// stock is how many of a product there are at first.
const stock = 1_000_000

type carts struct{ redis *redis.Client }

func main() {
	listen := flag.String("listen", "127.0.0.1:8080", "address")
	addr := flag.String("redis", "127.0.0.1:6379", "address of redis")
	flag.Parse()
	c := &carts{redis.NewClient(&redis.Options{Addr: *addr, PoolSize: 10})}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /terms", showTerms)
	mux.HandleFunc("GET /carts/{id}", c.show)
	mux.HandleFunc("POST /carts/{id}/{product}", c.add)
	mux.HandleFunc("POST /reservations/{product}", c.reserve)
	server := &http.Server{Addr: *listen, Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	log.Fatal(server.ListenAndServe())
}

func showTerms(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "pay, then eat") }

func (c *carts) show(w http.ResponseWriter, r *http.Request) {
	items, err := c.redis.HGetAll(r.Context(), "cart:"+r.PathValue("id")).Result()
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	_ = json.NewEncoder(w).Encode(items) // the client is gone
}

func (c *carts) add(w http.ResponseWriter, r *http.Request) {
	count, err := c.redis.HIncrBy(r.Context(), "cart:"+r.PathValue("id"), r.PathValue("product"), 1).Result()
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, count)
}

// reserve takes one of a product from the stock, on one connection so that
// nothing comes between.
func (c *carts) reserve(w http.ResponseWriter, r *http.Request) {
	conn := c.redis.Conn(r.Context())
	key := "reserved:" + r.PathValue("product")
	reserved, err := conn.Incr(r.Context(), key).Result()
	if err == nil && (reserved > stock || r.PathValue("product") == "sold-out") {
		// The mistake: the connection is not given back.
		http.Error(w, "sold out", http.StatusConflict)
		return
	}
	if err == nil {
		err = conn.Expire(r.Context(), key, time.Hour).Err()
	}
	conn.Close()
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, reserved)
}
