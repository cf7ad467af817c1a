package scenario

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"time"

	"github.com/perfscope/perfscope/testbed/load"
)

// shelfTitles: a pattern is compiled for every title that it is tried on,
// which nobody notices among the twenty documents of a tag:
// https://github.com/OneBusAway/maglev/issues/293 ("Regex Compiled on Every
// Search Request") and https://github.com/gobeam/stringy/issues/27.
func shelfTitles() Scenario {
	return Scenario{
		Name:   "shelf-titles",
		Title:  "a Go server compiles a regular expression for every title",
		Server: "shelf", Language: Go, Kind: Computation, Source: Own, Split: Report,
		Normal: "a document server; one request in twenty looks for titles among the documents of a tag",
		Fault:  "a catalogue of a library looks for titles among all documents, thirty times a second",
		// apps/shelf/catalog/titles.go: fits compiles, ByTitle asks it for each.
		Truth:    []string{shelfPackage + "catalog.fits", shelfPackage + "catalog.(*Catalog).ByTitle"},
		Patterns: []string{"long_computation"},
		Start: func(ctx context.Context) (Workload, error) {
			s, err := startShelf(ctx)
			if err != nil {
				return Workload{}, err
			}
			return Workload{Server: s.Server, Load: s.loadWithTitles(), Fault: s.askAllTitles}, nil
		},
	}
}

func (s *shelf) loadWithTitles() load.Config {
	return httpLoad(8, shelfRate, func(r *rand.Rand) (*http.Request, error) {
		if r.IntN(20) > 0 {
			return s.request(r)
		}
		return s.titles(r, fmt.Sprintf("tag-%d", r.IntN(shelfTags)))
	})
}

// titles asks for the documents about something.
func (s *shelf) titles(r *rand.Rand, tag string) (*http.Request, error) {
	query := url.Values{"title": {"the " + shelfWords[r.IntN(len(shelfWords))] + "*"}}
	if tag != "" {
		query.Set("tag", tag)
	}
	return http.NewRequest(http.MethodGet, "http://"+s.Addr+"/v1/documents?"+query.Encode(), nil)
}

func (s *shelf) askAllTitles(ctx context.Context) (func(), error) {
	r := rand.New(rand.NewPCG(9, 9))
	return pester(ctx, time.Second/30, func() (*http.Request, error) { return s.titles(r, "") }), nil
}
