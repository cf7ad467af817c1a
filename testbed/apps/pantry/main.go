// Command pantry shows what lies in pantries, whose prices are in redis.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net/http"
	"strconv"
	"time"

	"github.com/go-redis/redis/v8"
)

// goods is how many kinds of food there are.
const goods = 3000

type pantry struct{ redis *redis.Client }

func main() {
	listen := flag.String("listen", "127.0.0.1:8080", "address")
	addr := flag.String("redis", "127.0.0.1:6379", "address of redis")
	flag.Parse()
	p := &pantry{redis.NewClient(&redis.Options{Addr: *addr})}
	if err := p.fill(context.Background()); err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /shelves/{shelf}/{size}", p.showShelf)
	mux.HandleFunc("POST /prices/{food}/{price}", p.setPrice)
	server := &http.Server{Addr: *listen, Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	log.Fatal(server.ListenAndServe())
}

func (p *pantry) fill(ctx context.Context) error {
	pipe := p.redis.Pipeline()
	for i := range goods {
		pipe.Set(ctx, key(i), 100+i%400, 0)
	}
	_, err := pipe.Exec(ctx)
	return err
}

func key(food int) string { return "price:" + strconv.Itoa(food) }

// value adds up what a shelf is worth. The mistake: each price is asked for by itself.
func (p *pantry) value(ctx context.Context, shelf, size int) (sum int, err error) {
	for i := range size {
		price, err := p.redis.Get(ctx, key((shelf*7+i)%goods)).Int()
		if err != nil {
			return sum, err
		}
		sum += price
	}
	return sum, nil
}

func (p *pantry) showShelf(w http.ResponseWriter, r *http.Request) {
	shelf, _ := strconv.Atoi(r.PathValue("shelf"))
	size, _ := strconv.Atoi(r.PathValue("size"))
	value, err := p.value(r.Context(), shelf, size)
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]int{"shelf": shelf, "value": value}) // the client is gone
}

func (p *pantry) setPrice(w http.ResponseWriter, r *http.Request) {
	food, _ := strconv.Atoi(r.PathValue("food"))
	if err := p.redis.Set(r.Context(), key(food%goods), r.PathValue("price"), 0).Err(); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "noted")
}
