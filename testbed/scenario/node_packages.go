package scenario

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"github.com/perfscope/perfscope/testbed/load"
	"github.com/perfscope/perfscope/testbed/server"
)

// expressRoute: Express 4.19.2 with path-to-regexp 0.1.7 makes of
// /flights/:from-:to an expression that backtracks on many dashes:
// CVE-2024-45296, https://github.com/advisories/GHSA-9wv6-86v2-598j.
func expressRoute() Scenario {
	return Scenario{
		Name:   "express-route",
		Title:  "express computes: a route that backtracks",
		Server: "flights", Language: Node, Kind: Computation, Source: NPM, Split: Report,
		Normal: "connections, airports and bookings of an airline behind Express",
		Fault:  "a client asks four times a second for /flights/a-a-a-…, on which the route /flights/:from-:to backtracks",
		// express/lib/router/layer.js: match runs the expression of the
		// route, for matchLayer in lib/router/index.js; V8 compiles both
		// into next, the loop over the routes (--trace-turbo-inlining).
		Truth:    []string{"match", "matchLayer", "next"},
		Patterns: []string{"long_computation"},
		Start: func(ctx context.Context) (Workload, error) {
			return startPackage(ctx, "flights", flightsLoad, func(ctx context.Context, s *server.Server) (func(), error) {
				target := "http://" + s.Addr + "/flights/" + strings.Repeat("a-", 3500) + "/x"
				return pester(ctx, 250*time.Millisecond, func() (*http.Request, error) {
					return http.NewRequest(http.MethodGet, target, nil)
				}), nil
			})
		},
	}
}

// markdownEmphasis: markdown-it 9.1.0 looks for the opening mark of each
// closing one through all before it: https://github.com/markdown-it/markdown-it/issues/583
// ("Parsing *_*_*_… takes quadratic time").
func markdownEmphasis() Scenario {
	return Scenario{
		Name:   "markdown-emphasis",
		Title:  "markdown-it computes: marks of emphasis without end",
		Server: "notes", Language: Node, Kind: Computation, Source: NPM, Split: Tune,
		Quick:  true,
		Normal: "notes and comments in Markdown are shown, written and previewed",
		Fault:  "somebody has *_*_*_… previewed, 6 KB of it, four times a second",
		// markdown-it/lib/rules_inline/balance_pairs.js.
		Truth:    []string{"link_pairs"},
		Patterns: []string{"long_computation"},
		Start: func(ctx context.Context) (Workload, error) {
			return startPackage(ctx, "notes", notesLoad, func(ctx context.Context, s *server.Server) (func(), error) {
				return pester(ctx, 250*time.Millisecond, func() (*http.Request, error) {
					return postJSON("http://"+s.Addr+"/preview", map[string]string{"text": strings.Repeat("*_", 3000)})
				}), nil
			})
		},
	}
}

// startPackage starts an application of npm packages with its load and fault.
func startPackage(ctx context.Context, app string, put func(*server.Server) load.Config,
	fault func(ctx context.Context, s *server.Server) (func(), error),
) (Workload, error) {
	s, err := server.StartNode(ctx, app)
	if err != nil {
		return Workload{}, err
	}
	return Workload{
		Server: s,
		Load:   put(s),
		Fault:  func(ctx context.Context) (func(), error) { return fault(ctx, s) },
		Stop:   func() { server.RemovePerfMap(s) },
	}, nil
}

// pester makes a request again and again; one that fails is not made up for.
func pester(ctx context.Context, every time.Duration, next func() (*http.Request, error)) func() {
	c := &http.Client{Timeout: 10 * time.Second}
	end := repeat(ctx, every, func(ctx context.Context) {
		if request, err := next(); err == nil {
			_ = send(ctx, c, request)
		}
	})
	return func() { end(); c.CloseIdleConnections() }
}

func postJSON(url string, body any) (*http.Request, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequest(http.MethodPost, url, bytes.NewReader(text))
	if err == nil {
		request.Header.Set("Content-Type", "application/json")
	}
	return request, err
}

var airports = strings.Fields("AMS ARN ATH BCN BRU BUD CDG CPH DUB EDI FCO FRA GVA HAM HEL")

// flightsLoad is people looking for flights and agents who book.
func flightsLoad(s *server.Server) load.Config {
	return httpLoad(8, 150, func(r *rand.Rand) (*http.Request, error) {
		base := "http://" + s.Addr
		from, to := airports[r.IntN(len(airports))], airports[r.IntN(len(airports))]
		switch n := r.IntN(100); {
		case n < 45:
			return http.NewRequest(http.MethodGet, base+"/flights/"+from+"-"+to, nil)
		case n < 60:
			return http.NewRequest(http.MethodGet, fmt.Sprintf("%s/flights/FL%d", base, 100+r.IntN(800)), nil)
		case n < 70:
			return http.NewRequest(http.MethodGet, base+"/airports/"+from, nil)
		case n < 80:
			return http.NewRequest(http.MethodGet, base+"/airports/"+from+"/departures", nil)
		case n < 82:
			return http.NewRequest(http.MethodGet, base+"/airports", nil)
		case n < 90:
			request, err := postJSON(base+"/bookings", map[string]any{
				"flights":    []string{fmt.Sprintf("FL%d", 100+r.IntN(700))},
				"passengers": []map[string]any{{"name": "A. Traveller", "age": 8 + r.IntN(60)}},
			})
			if err == nil {
				request.Header.Set("X-Agent-Key", "k1")
			}
			return request, err
		case n < 98:
			request, err := http.NewRequest(http.MethodGet, fmt.Sprintf("%s/bookings/B%d", base, 1+r.IntN(50)), nil)
			if err == nil && r.IntN(20) > 0 { // the others are turned away
				request.Header.Set("X-Agent-Key", "k1")
			}
			return request, err
		default:
			return http.NewRequest(http.MethodGet, base+"/favicon.ico", nil)
		}
	})
}

// notesLoad is people who read, write and comment on notes.
func notesLoad(s *server.Server) load.Config {
	return httpLoad(8, 120, func(r *rand.Rand) (*http.Request, error) {
		base := "http://" + s.Addr
		note := fmt.Sprintf("%s/notes/%d", base, 250+r.IntN(250))
		switch n := r.IntN(100); {
		case n < 50:
			return http.NewRequest(http.MethodGet, note, nil)
		case n < 60:
			return http.NewRequest(http.MethodGet, base+"/notes", nil)
		case n < 65:
			return http.NewRequest(http.MethodGet, note+"/raw", nil)
		case n < 72:
			return postJSON(base+"/notes", map[string]string{"title": "Minutes", "text": markdownText(r)})
		case n < 85:
			return postJSON(note+"/comments", map[string]string{"text": markdownText(r)})
		case n < 98:
			return postJSON(base+"/preview", map[string]string{"text": markdownText(r)})
		default:
			return http.NewRequest(http.MethodGet, base+"/notes/0", nil)
		}
	})
}

// markdownText is a few paragraphs as people write them.
func markdownText(r *rand.Rand) string {
	parts := []string{
		"Some *emphasis* and **more** of it, see [the page](https://example.com/a?b=c).\n\n",
		"- first\n- second with `code`\n- third\n\n",
		"> somebody said so, *once*\n\n",
		"| a | b |\n|---|---|\n| 1 | 2 |\n\n",
		"```\nlet x = 1;\n```\n\n",
		"A paragraph of plain words that goes on for a while, with https://example.com/link in it.\n\n",
	}
	var b strings.Builder
	fmt.Fprintf(&b, "## Topic %d\n\n", r.IntN(1000))
	for range 2 + r.IntN(8) {
		b.WriteString(parts[r.IntN(len(parts))])
	}
	return b.String()
}
