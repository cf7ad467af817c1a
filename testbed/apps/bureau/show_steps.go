//go:build refactor_steps

package main

import (
	"net/http"
	"strconv"
)

// request is what the steps of an answer share.
type request struct {
	b     *bureau
	o     *order
	cents int
	page  []byte
}

func (q *request) answer() {
	for _, step := range []func(*request){(*request).price, (*request).write, (*request).audit} {
		step(q)
	}
}

func (q *request) price() { q.cents = priceOrder(q.o) }
func (q *request) write() { q.page = append(renderOrder(q.o, q.cents), suggest(q.o)...) }
func (q *request) audit() { q.b.auditTrail(q.o, q.cents) }

func (b *bureau) show(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.Atoi(r.PathValue("id"))
	if err != nil || !authorise(r.Header.Get("Authorization")) {
		http.Error(w, "not allowed", http.StatusForbidden)
		return
	}
	q := request{b: b, o: b.findOrder(id)}
	if q.o == nil {
		http.NotFound(w, r)
		return
	}
	q.answer()
	w.Header().Set("X-Seal", sealReply(q.page))
	_, _ = w.Write(q.page)
}
