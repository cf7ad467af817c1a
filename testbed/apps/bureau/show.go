//go:build !refactor_steps

package main

import (
	"net/http"
	"strconv"
)

func (b *bureau) show(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.Atoi(r.PathValue("id"))
	if err != nil || !authorise(r.Header.Get("Authorization")) {
		http.Error(w, "not allowed", http.StatusForbidden)
		return
	}
	o := b.findOrder(id)
	if o == nil {
		http.NotFound(w, r)
		return
	}
	cents := priceOrder(o)
	page := renderOrder(o, cents)
	page = append(page, suggest(o)...)
	b.auditTrail(o, cents)
	w.Header().Set("X-Seal", sealReply(page))
	_, _ = w.Write(page)
}
