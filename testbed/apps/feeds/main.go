// Command feeds sends what is published on a topic to all who read it.
package main

import (
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"sync"
	"time"
)

// hub has the readers of all topics.
type hub struct {
	mu      sync.Mutex
	readers map[string]map[*reader]struct{}
	latest  map[string]string
}

type reader struct {
	to    io.Writer
	flush http.Flusher
}

func main() {
	listen := flag.String("listen", "127.0.0.1:8080", "address")
	flag.Parse()
	h := &hub{readers: map[string]map[*reader]struct{}{}, latest: map[string]string{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /topics/{topic}/stream", h.stream)
	mux.HandleFunc("GET /topics/{topic}", h.show)
	mux.HandleFunc("POST /topics/{topic}", h.receive)
	mux.HandleFunc("GET /about", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "news, as they come") })
	server := &http.Server{Addr: *listen, Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	log.Fatal(server.ListenAndServe())
}

func (h *hub) stream(w http.ResponseWriter, r *http.Request) {
	flusher, ok := w.(http.Flusher)
	if !ok {
		http.Error(w, "no stream", http.StatusNotImplemented)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	flusher.Flush()
	topic, me := r.PathValue("topic"), &reader{w, flusher}
	h.join(topic, me)
	defer h.leave(topic, me)
	<-r.Context().Done()
}

func (h *hub) join(topic string, r *reader) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.readers[topic] == nil {
		h.readers[topic] = map[*reader]struct{}{}
	}
	h.readers[topic][r] = struct{}{}
}

func (h *hub) leave(topic string, r *reader) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.readers[topic], r)
}

func (h *hub) show(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	text := h.latest[r.PathValue("topic")]
	h.mu.Unlock()
	fmt.Fprintln(w, text)
}

func (h *hub) receive(w http.ResponseWriter, r *http.Request) {
	text, err := io.ReadAll(io.LimitReader(r.Body, 1<<16))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	h.publish(r.PathValue("topic"), string(text))
	w.WriteHeader(http.StatusAccepted)
}

// publish tells everybody who reads a topic. The mistake: who does not read holds up
// the lock that all need.
func (h *hub) publish(topic, text string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.latest[topic] = text
	for r := range h.readers[topic] {
		fmt.Fprintf(r.to, "data: %s\n\n", text)
		r.flush.Flush()
	}
}
