//go:build ignore

// Command origins answers other origins' pages.
package main

import (
	"net/http"
	"net/http/httptest"

	"github.com/rs/cors"
)

func main() {
	allow := cors.New(cors.Options{
		AllowedOrigins: []string{"https://shop.example", "https://*.shop.example"}, AllowedMethods: []string{"GET", "PUT"},
		AllowedHeaders: []string{"Accept", "Authorization", "Content-Type", "X-Request-Id", "X-Tenant", "X-Trace"},
	})
	preflights := allow.Handler(http.NotFoundHandler())
	serve(func(r *http.Request, _ []byte) (any, error) {
		asked := r.Clone(r.Context())
		asked.Method = http.MethodOptions
		said := httptest.NewRecorder()
		preflights.ServeHTTP(said, asked)
		return said.Code, nil
	})
}
