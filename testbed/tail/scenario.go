// Package tail measures whether the function behind a few slow requests is named: on
// servers that have a slow way from their first second on, with spans and without.
package tail

import (
	"context"
	"net"
	"net/http"
	"time"

	"github.com/perfscope/perfscope/testbed/server"
)

// Scenario is a server of which some requests go a slow way.
type Scenario struct {
	Name, Service string
	// Start starts it; Way is the slow way, Rate how many requests come per second.
	Start func(context.Context, server.SlowWay) (*server.Server, error)
	Way   string
	Rate  float64
	// Truth are the functions that a person who mends it would look at; none for an
	// honest mixture, of which Says is what it is called.
	Truth []string
	Says  string
	// Peer is set when it asks another service.
	Peer bool
	// Dial connects to it; by default over HTTP, and it knows itself what is slow.
	Dial func(*server.Server) (asker, error)
	// Unseen is set where nothing was chosen while looking at it.
	Unseen bool
	// Misconfiguration is set where a setting is the cause.
	Misconfiguration bool
	// Short is set on a slow way that costs a part of what another scenario's does, of the
	// same truth: where one request in ten takes that, the server is overloaded.
	Short bool
}

// Scenarios are all of them. The truths were written down before the first run.
func Scenarios() []Scenario {
	list := append(unseen(), daemons()...)
	for i := range list {
		list[i].Unseen = true
	}
	list = append(append(list, misconfigurations()...), short()...)
	return append([]Scenario{
		{Name: "go-buffer", Service: "kiosk", Start: server.StartKiosk, Way: "history", Truth: []string{"main.renderHistory"}},
		{Name: "go-convoy", Service: "kiosk", Start: server.StartKiosk, Way: "prices", Truth: []string{"main.(*shop).revalue"}},
		{Name: "go-n-plus-1", Service: "kiosk", Start: server.StartKiosk, Way: "related", Truth: []string{"main.(*shop).loadRelated"}, Peer: true},
		{Name: "go-upstream", Service: "kiosk", Start: server.StartKiosk, Way: "rate", Truth: []string{"main.(*shop).fetchRate"}, Peer: true},
		{Name: "go-retry-sleep", Service: "kiosk", Start: server.StartKiosk, Way: "partner", Truth: []string{"main.bookAgain"}},
		{Name: "c-fsync", Service: "teller", Start: server.StartTeller, Way: "ledger", Truth: []string{"append_ledger"}},
		{Name: "c-directory-scan", Service: "teller", Start: server.StartTeller, Way: "spool", Truth: []string{"count_spool"}},
		{Name: "c-backtracking", Service: "teller", Start: server.StartTeller, Way: "rule", Truth: []string{"match_rule"}},
		{Name: "c-rare-writer", Service: "teller", Start: server.StartTeller, Way: "index", Truth: []string{"rebuild_index"}},
		{Name: "python-backtracking", Service: "desk", Start: server.StartDesk, Way: "title", Truth: []string{"normalise_title"}},
		{Name: "python-retry-sleep", Service: "desk", Start: server.StartDesk, Way: "partner", Truth: []string{"call_partner"}},
		{Name: "python-words", Service: "desk", Start: server.StartDesk, Way: "words", Truth: []string{"collect_words"}},
		{Name: "node-directory-scan", Service: "booth", Start: server.StartBooth, Way: "assets", Truth: []string{"collectAssets"}},
		{Name: "node-serialise", Service: "booth", Start: server.StartBooth, Way: "history", Truth: []string{"serialiseHistory"}},
		{Name: "java-concatenation", Service: "counter", Start: server.StartCounter, Way: "statement", Truth: []string{"counter.Main.buildStatement"}},
		{Name: "java-lock", Service: "counter", Start: server.StartCounter, Way: "reindex", Truth: []string{"counter.Main.reindex"}},
		{Name: "go-miss", Service: "kiosk", Start: server.StartKiosk, Way: "miss", Says: "another_path"},
		{Name: "go-large", Service: "kiosk", Start: server.StartKiosk, Way: "large", Says: "more_of_the_same"},
		{Name: "c-large", Service: "teller", Start: server.StartTeller, Way: "large", Says: "more_of_the_same"},
		{Name: "python-large", Service: "desk", Start: server.StartDesk, Way: "large", Says: "more_of_the_same"},
		{Name: "node-large", Service: "booth", Start: server.StartBooth, Way: "large", Says: "more_of_the_same"},
		{Name: "java-large", Service: "counter", Start: server.StartCounter, Way: "large", Says: "more_of_the_same"},
	}, list...)
}

// short are slow ways of which six a second leave the server most of its time.
func short() []Scenario {
	list := []Scenario{
		{Name: "go-buffer-short", Service: "kiosk", Start: server.StartKiosk, Way: "short-history", Truth: []string{"main.renderHistory"}},
		{Name: "go-convoy-short", Service: "kiosk", Start: server.StartKiosk, Way: "short-prices", Truth: []string{"main.(*shop).revalue"}},
		{Name: "java-lock-short", Service: "counter", Start: server.StartCounter, Way: "short-reindex", Truth: []string{"counter.Main.reindex"}},
		{Name: "node-serialise-short", Service: "booth", Start: server.StartBooth, Way: "short-history", Truth: []string{"serialiseHistory"}},
		{Name: "python-backtracking-short", Service: "desk", Start: server.StartDesk, Way: "short-title", Truth: []string{"normalise_title"}},
		{
			Name: "nginx-regex-short", Service: "nginx", Start: startLocation, Unseen: true,
			Dial: byPath("/q/aaaaaaaaaaaaaaaaaaaaaaaaaaaa!", "/%d.bin"), Truth: locationTruth,
		},
		{Name: "redis-keys-few", Service: "redis", Start: startFewSessions, Unseen: true, Dial: askRedis, Truth: keysTruth},
	}
	for i := range list {
		list[i].Short = true
	}
	return list
}

// Honest reports whether nothing is wrong with the server.
func (s *Scenario) Honest() bool { return len(s.Truth) == 0 }

// peer is a service that answers at once, and slowly where it is asked to.
func peer() (addr string, stop func(), err error) {
	mux := http.NewServeMux()
	slow := func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(80 * time.Millisecond)
		_, _ = w.Write([]byte("1.08"))
	}
	mux.HandleFunc("/slow", slow)
	mux.HandleFunc("/app/report", slow)
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(1200 * time.Microsecond)
		_, _ = w.Write([]byte("ticket"))
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	s := &http.Server{Handler: mux, ReadHeaderTimeout: time.Second}
	go func() { _ = s.Serve(l) }()
	return l.Addr().String(), func() { _ = s.Close() }, nil
}
