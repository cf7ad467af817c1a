package api

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"time"

	"github.com/perfscope/perfscope/testbed/apps/shelf/catalog"
	"github.com/perfscope/perfscope/testbed/apps/shelf/store"
)

// importEntries takes a JSON object per line: documents of a partner, whose
// texts stay where they are.
func (h *handlers) importEntries(w http.ResponseWriter, r *http.Request) {
	dec := json.NewDecoder(bufio.NewReader(http.MaxBytesReader(w, r.Body, 64<<20)))
	var entries []*catalog.Entry
	for {
		e := new(catalog.Entry)
		err := dec.Decode(e)
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil && (!store.ValidID(e.ID) || e.Title == "") {
			err = errors.New("an entry needs an ID and a title")
		}
		if err != nil {
			h.refuse(w, &badRequest{fmt.Sprintf("entry %d: %v", len(entries)+1, err)})
			return
		}
		e.Changed = time.Now().UTC()
		entries = append(entries, e)
	}
	h.Catalog.Import(entries)
	h.note(r, "import", "", len(entries))
	answer(w, http.StatusOK, map[string]int{"imported": len(entries)})
}

func (h *handlers) activity(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, h.Activity.Hours())
}

func (h *handlers) healthy(w http.ResponseWriter, _ *http.Request) {
	if err := h.Catalog.Err(); err != nil {
		answer(w, http.StatusServiceUnavailable, map[string]string{"error": err.Error()})
		return
	}
	answer(w, http.StatusOK, map[string]string{"status": "ok"})
}

func (h *handlers) status(w http.ResponseWriter, _ *http.Request) {
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	answer(w, http.StatusOK, map[string]any{
		"uptime_seconds": time.Since(h.started).Seconds(),
		"requests":       h.served.Load(),
		"failures":       h.failed.Load(),
		"entries":        h.Catalog.Len(),
		"cache":          h.Documents.Cache(),
		"goroutines":     runtime.NumGoroutine(),
		"heap_bytes":     memory.HeapAlloc,
		"gc_runs":        memory.NumGC,
	})
}

// reopen is called after the journal was moved away.
func (h *handlers) reopen(w http.ResponseWriter, _ *http.Request) {
	if err := h.Journal.Reopen(); err != nil {
		h.refuse(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
