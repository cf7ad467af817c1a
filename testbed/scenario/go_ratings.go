package scenario

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// shelfRatings: the service behind answers with errors. Nothing is remembered,
// every request is tried three times at once, and the body of an error is not
// read, so that its connection can't be used again.
//
// The mechanism of https://github.com/golang/go/issues/35345 (a body that was
// not read to its end costs the connection) and
// https://github.com/kubernetes/kubernetes/issues/30975 (answers of 429, tried
// again over a new connection each).
func shelfRatings() Scenario {
	return Scenario{
		Name:   "shelf-ratings",
		Title:  "a Go server retries a failing upstream over a new connection each time",
		Server: "shelf", Language: Go, Kind: Churn, Source: Own, Split: Report,
		Quick:  true,
		Normal: "a document server asks another service for ratings and keeps them for two seconds",
		Fault:  "that service answers 503 with a page of HTML: every list asks for all of its ratings, three times, over new connections",
		// apps/shelf/ratings/client.go: the retries and the body that is
		// closed unread.
		Truth:    []string{shelfPackage + "ratings.(*Client).ask", shelfPackage + "ratings.(*Client).Get"},
		Patterns: []string{"connection_churn"},
		Start: func(ctx context.Context) (Workload, error) {
			upstream, err := startRatings()
			if err != nil {
				return Workload{}, err
			}
			s, err := startShelf(ctx, "-ratings", upstream.url, "-ratings-for", "2s")
			if err != nil {
				upstream.stop()
				return Workload{}, err
			}
			return Workload{
				Server: s.Server,
				Load:   s.load(),
				Fault: func(context.Context) (func(), error) {
					upstream.broken.Store(true)
					return func() { upstream.broken.Store(false) }, nil
				},
				Stop: upstream.stop,
			}, nil
		},
	}
}

// ratingsService is the service behind a shelf.
type ratingsService struct {
	url    string
	broken atomic.Bool
	server *http.Server
	// connections counts those that were made to it.
	connections atomic.Int64
}

func startRatings() (*ratingsService, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	u := &ratingsService{url: "http://" + l.Addr().String()}
	page := "<html><title>503</title>" + strings.Repeat("<p>The service is being maintained.</p>\n", 400) + "</html>"
	u.server = &http.Server{
		ReadHeaderTimeout: 5 * time.Second,
		ConnState: func(_ net.Conn, state http.ConnState) {
			if state == http.StateNew {
				u.connections.Add(1)
			}
		},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if u.broken.Load() {
				w.WriteHeader(http.StatusServiceUnavailable)
				_, _ = w.Write([]byte(page))
				return
			}
			fmt.Fprintf(w, `{"stars":%d.5,"votes":%d}`, len(r.URL.Path)%5, len(r.URL.Path)*7)
		}),
	}
	go func() {
		if err := u.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			panic(err) // only Close ends it
		}
	}()
	return u, nil
}

func (u *ratingsService) stop() { u.server.Close() }
