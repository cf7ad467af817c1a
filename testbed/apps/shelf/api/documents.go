package api

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/perfscope/perfscope/testbed/apps/shelf/catalog"
	"github.com/perfscope/perfscope/testbed/apps/shelf/ratings"
	"github.com/perfscope/perfscope/testbed/apps/shelf/store"
)

func pathID(r *http.Request) (string, error) {
	id := r.PathValue("id")
	if !store.ValidID(id) {
		return "", &badRequest{fmt.Sprintf("%q is no ID", id)}
	}
	return id, nil
}

func (h *handlers) getDocument(w http.ResponseWriter, r *http.Request) {
	id, err := pathID(r)
	if err != nil {
		h.refuse(w, err)
		return
	}
	d, err := h.Documents.Get(id)
	if err != nil {
		h.refuse(w, err)
		return
	}
	h.note(r, "read", id, 0)
	tag := fmt.Sprintf(`"%s-%d"`, d.ID, d.Revision)
	w.Header().Set("ETag", tag)
	if r.Header.Get("If-None-Match") == tag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	answer(w, http.StatusOK, d)
}

// getHTML renders a document, compressed for clients that can read that.
func (h *handlers) getHTML(w http.ResponseWriter, r *http.Request) {
	id, err := pathID(r)
	if err != nil {
		h.refuse(w, err)
		return
	}
	d, err := h.Documents.Get(id)
	if err != nil {
		h.refuse(w, err)
		return
	}
	h.note(r, "render", id, 0)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	var out io.Writer = w
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		defer z.Close()
		out = z
	}
	_ = render(out, d) // the client may be gone
}

func (h *handlers) putDocument(w http.ResponseWriter, r *http.Request) {
	id, err := pathID(r)
	if err != nil {
		h.refuse(w, err)
		return
	}
	body, err := readBody(r, h.MaxBody)
	if err != nil {
		h.refuse(w, err)
		return
	}
	d := &store.Document{}
	if err := json.Unmarshal(body, d); err != nil {
		h.refuse(w, &badRequest{"no document: " + err.Error()})
		return
	}
	if d.Title == "" {
		h.refuse(w, &badRequest{"a document needs a title"})
		return
	}
	d.ID = id
	if err := h.Documents.Put(d); err != nil {
		h.refuse(w, err)
		return
	}
	h.Catalog.Put(&catalog.Entry{
		ID: id, Title: d.Title, Author: d.Author, Tags: d.Tags,
		Size: len(d.Body), Revision: d.Revision, Changed: d.Changed,
	})
	h.note(r, "write", id, len(body))
	answer(w, http.StatusOK, map[string]any{"id": id, "revision": d.Revision})
}

func (h *handlers) deleteDocument(w http.ResponseWriter, r *http.Request) {
	id, err := pathID(r)
	if err == nil {
		err = h.Documents.Delete(id)
	}
	if err != nil {
		h.refuse(w, err)
		return
	}
	h.Catalog.Delete(id)
	h.note(r, "delete", id, 0)
	w.WriteHeader(http.StatusNoContent)
}

// listed is a document in a list.
type listed struct {
	catalog.Entry
	Rating *ratings.Rating `json:"rating,omitempty"`
}

func (h *handlers) listDocuments(w http.ResponseWriter, r *http.Request) {
	tag := r.URL.Query().Get("tag")
	limit, err := limitOf(r, 12)
	if err != nil {
		h.refuse(w, err)
		return
	}
	var found []catalog.Entry
	if title := r.URL.Query().Get("title"); title != "" {
		found = h.Catalog.ByTitle(tag, title, limit)
	} else {
		found = h.Catalog.ByTag(tag, limit)
	}
	list := make([]listed, len(found))
	for i, e := range found {
		list[i] = listed{Entry: e, Rating: h.Ratings.Get(r.Context(), e.ID)}
	}
	answer(w, http.StatusOK, map[string]any{"documents": list})
}

func (h *handlers) search(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	limit, err := limitOf(r, 20)
	if err == nil && query.Get("q") == "" {
		err = &badRequest{"q is missing"}
	}
	if err != nil {
		h.refuse(w, err)
		return
	}
	answer(w, http.StatusOK, map[string]any{"documents": h.Catalog.Search(query.Get("tag"), query.Get("q"), limit)})
}

func limitOf(r *http.Request, otherwise int) (int, error) {
	text := r.URL.Query().Get("limit")
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > 100 {
		return 0, &badRequest{"limit must be from 1 to 100"}
	}
	return n, nil
}
