// Package api is the HTTP side of shelf.
package api

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/perfscope/perfscope/testbed/apps/shelf/catalog"
	"github.com/perfscope/perfscope/testbed/apps/shelf/journal"
	"github.com/perfscope/perfscope/testbed/apps/shelf/ratings"
	"github.com/perfscope/perfscope/testbed/apps/shelf/store"
)

// Parts are what the API works on.
type Parts struct {
	Documents *store.Store
	Catalog   *catalog.Catalog
	Journal   *journal.Journal
	Activity  *journal.Activity
	Ratings   *ratings.Client
	Log       *slog.Logger
	MaxBody   int64
}

type handlers struct {
	Parts
	started time.Time
	served  atomic.Int64
	failed  atomic.Int64
}

// New returns the handler of all routes.
func New(p Parts) http.Handler {
	h := &handlers{Parts: p, started: time.Now()}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/documents", h.listDocuments)
	mux.HandleFunc("GET /v1/documents/{id}", h.getDocument)
	mux.HandleFunc("GET /v1/documents/{id}/html", h.getHTML)
	mux.HandleFunc("PUT /v1/documents/{id}", h.putDocument)
	mux.HandleFunc("DELETE /v1/documents/{id}", h.deleteDocument)
	mux.HandleFunc("GET /v1/documents/{id}/attachment", h.getAttachment)
	mux.HandleFunc("PUT /v1/documents/{id}/attachment", h.putAttachment)
	mux.HandleFunc("GET /v1/search", h.search)
	mux.HandleFunc("POST /v1/import", h.importEntries)
	mux.HandleFunc("GET /v1/activity", h.activity)
	mux.HandleFunc("GET /healthz", h.healthy)
	mux.HandleFunc("GET /admin/status", h.status)
	mux.HandleFunc("POST /admin/reopen", h.reopen)
	return h.logged(mux)
}

// logged writes a line for each request and counts it.
func (h *handlers) logged(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		seen := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(seen, r)
		h.served.Add(1)
		if seen.status >= http.StatusInternalServerError {
			h.failed.Add(1)
		}
		h.Log.Info("request", "method", r.Method, "path", r.URL.Path, "status", seen.status,
			"bytes", seen.bytes, "seconds", time.Since(start).Seconds())
	})
}

type statusWriter struct {
	http.ResponseWriter
	status int
	bytes  int64
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Write(p []byte) (int, error) {
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	return n, err
}

// answer sends a value as JSON.
func answer(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value) // the client may be gone
}

// refuse sends an error.
func (h *handlers) refuse(w http.ResponseWriter, err error) {
	status := http.StatusInternalServerError
	var bad *badRequest
	switch {
	case errors.Is(err, store.ErrNotFound):
		status = http.StatusNotFound
	case errors.Is(err, errTooLarge):
		status = http.StatusRequestEntityTooLarge
	case errors.As(err, &bad):
		status = http.StatusBadRequest
	default:
		h.Log.Error("request failed", "error", err)
	}
	answer(w, status, map[string]string{"error": err.Error()})
}

// badRequest is a mistake of the client.
type badRequest struct{ what string }

func (b *badRequest) Error() string { return b.what }

// note writes to the journal; a document is not refused because of it.
func (h *handlers) note(r *http.Request, action, id string, bytes int) {
	err := h.Journal.Append(journal.Event{Action: action, ID: id, Client: r.RemoteAddr, Bytes: bytes})
	if err != nil {
		h.Log.Error("journal can't be written", "error", err)
	}
}
