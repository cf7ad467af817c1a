// Command canteen shows menus, and what dishes contain, which kitchens know.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"net/http"
	"strings"
	"time"

	"github.com/perfscope/perfscope/testbed/apps/canteen/kitchens"
	"github.com/perfscope/perfscope/testbed/apps/canteen/menu"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:8080", "address")
	own := flag.String("kitchen", "", "address of the canteen's own kitchen")
	guests := flag.String("guests", "", "addresses of other kitchens, with commas between")
	flag.Parse()

	book, err := kitchens.Open(*own)
	if err != nil {
		log.Fatal(err)
	}
	for i, address := range strings.Split(*guests, ",") {
		book.Invite(fmt.Sprintf("guest%d", i), address)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /menu/{day}", menu.Show)
	mux.HandleFunc("GET /dishes/{kitchen}/{dish}", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), 5*time.Second)
		defer cancel()
		answer, err := book.Contents(ctx, r.PathValue("kitchen"), r.PathValue("dish"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		fmt.Fprintln(w, answer)
	})
	server := &http.Server{Addr: *listen, Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	log.Fatal(server.ListenAndServe())
}
