//go:build ignore

package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"io"
	"log"
	"net/http"
	"sort"
	"strconv"
	"time"
)

// answer is what each of these services says: something of what it was asked, and a
// receipt.
type answer struct {
	Result  any      `json:"result"`
	Receipt string   `json:"receipt"`
	Lines   []string `json:"lines"`
}

// serve answers POST / with what handle makes of the request's body.
func serve(handle func(r *http.Request, body []byte) (any, error)) {
	listen := flag.String("listen", "127.0.0.1:8080", "address")
	flag.Parse()
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		result, err := handle(r, body)
		if err != nil {
			result = err.Error()
		}
		reply, err := json.Marshal(answer{result, receiptOf(body), linesOf(len(body))})
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(reply)
	})
	server := &http.Server{Addr: *listen, ReadHeaderTimeout: 5 * time.Second, MaxHeaderBytes: 1 << 20}
	log.Fatal(server.ListenAndServe())
}

func receiptOf(body []byte) string {
	sum := sha256.Sum256(body)
	for range 200 {
		sum = sha256.Sum256(sum[:])
	}
	return hex.EncodeToString(sum[:])
}

func linesOf(n int) []string {
	lines := make([]string, 100)
	for i := range lines {
		lines[i] = "line " + strconv.Itoa((n+i*7919)%1009)
	}
	sort.Strings(lines)
	return lines
}
