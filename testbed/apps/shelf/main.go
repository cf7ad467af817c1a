// Command shelf keeps the documents of a small publisher: their texts on
// disk, a catalogue of them in memory, a journal of what changed, and stars
// that readers gave them from another service.
package main

import (
	"context"
	"errors"
	"flag"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/perfscope/perfscope/testbed/apps/shelf/api"
	"github.com/perfscope/perfscope/testbed/apps/shelf/catalog"
	"github.com/perfscope/perfscope/testbed/apps/shelf/journal"
	"github.com/perfscope/perfscope/testbed/apps/shelf/ratings"
	"github.com/perfscope/perfscope/testbed/apps/shelf/settings"
	"github.com/perfscope/perfscope/testbed/apps/shelf/store"
)

func main() {
	cfg := settings.Default()
	flag.StringVar(&cfg.Listen, "listen", cfg.Listen, "address of the API")
	flag.StringVar(&cfg.Data, "data", cfg.Data, "directory of documents, catalogue and journal")
	flag.StringVar(&cfg.Ratings, "ratings", cfg.Ratings, "base URL of the ratings service, empty for none")
	flag.Int64Var(&cfg.CacheBytes, "cache-bytes", cfg.CacheBytes, "size of the document cache")
	flag.DurationVar(&cfg.RatingsFor, "ratings-for", cfg.RatingsFor, "how long a rating is used without asking again")
	level := flag.String("log-level", "info", "debug, info, warn or error")
	flag.Parse()

	logger, err := newLogger(*level)
	if err == nil {
		err = cfg.Validate()
	}
	if err == nil {
		err = run(cfg, logger)
	}
	if err != nil {
		slog.Error("shelf ends", "error", err)
		os.Exit(1)
	}
}

func newLogger(level string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, err
	}
	return slog.New(slog.NewJSONHandler(os.Stdout, &slog.HandlerOptions{Level: l})), nil
}

func run(cfg settings.Settings, logger *slog.Logger) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()

	documents, err := store.Open(filepath.Join(cfg.Data, "documents"), cfg.CacheBytes)
	if err != nil {
		return err
	}
	entries, err := catalog.Open(filepath.Join(cfg.Data, "catalog.json"), cfg.SaveEvery)
	if err != nil {
		return err
	}
	defer entries.Close()
	changes, err := journal.Open(filepath.Join(cfg.Data, "journal.log"), cfg.FlushInterval)
	if err != nil {
		return err
	}
	defer changes.Close()

	activity := journal.NewActivity()
	follower := journal.NewFollower(changes.Path(), activity.Count, logger)
	followed := make(chan struct{})
	go func() {
		defer close(followed)
		follower.Run(ctx)
	}()

	handler := api.New(api.Parts{
		Documents: documents,
		Catalog:   entries,
		Journal:   changes,
		Activity:  activity,
		Ratings:   ratings.New(cfg.Ratings, cfg.RatingsFor, logger),
		Log:       logger,
		MaxBody:   cfg.MaxBody,
	})
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       2 * time.Minute,
	}
	listener, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return err
	}
	logger.Info("shelf is ready", "address", listener.Addr().String(), "documents", entries.Len())

	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	err = server.Shutdown(grace)
	<-followed
	if errors.Is(err, context.DeadlineExceeded) {
		return nil // clients that stay connected do not make the end a failure
	}
	return err
}
