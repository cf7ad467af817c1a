package scenario

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"

	"github.com/perfscope/perfscope/testbed/server"
)

// wikiChanges: difflib.ndiff compares each changed line with every other one, and
// starts anew on both sides of the best pair:
// https://github.com/python/cpython/issues/119105 ("difflib.py Differ.compare is too
// slow"); here in the loop of an asynchronous server.
func wikiChanges() Scenario {
	return Scenario{
		Name:   "wiki-changes",
		Title:  "aiohttp computes: two versions of a page that differ in every line",
		Server: "wiki", Language: Python, Kind: Computation, Source: Own, Split: Report,
		Normal: "pages of a wiki are read and edited, a line at a time, and people look at what changed",
		Fault:  "from now on one edit in six changes every line of its page a little",
		// apps/wiki/wiki.py: the handler. Below it is Lib/difflib.py of CPython 3.11.
		Truth: []string{
			"show_changes", "_fancy_replace", "Differ._fancy_replace", "_fancy_helper", "Differ._fancy_helper",
		},
		Patterns: []string{"long_computation"},
		Start: func(ctx context.Context) (Workload, error) {
			s, err := server.StartWiki(ctx)
			if err != nil {
				return Workload{}, err
			}
			var all flip
			return Workload{
				Server: s,
				Load: httpLoad(8, 90, func(r *rand.Rand) (*http.Request, error) {
					page := fmt.Sprintf("http://%s/pages/%d", s.Addr, r.IntN(50))
					switch n := r.IntN(10); {
					case n < 6:
						return http.NewRequest(http.MethodGet, page, nil)
					case n < 8:
						return http.NewRequest(http.MethodGet, page+"/changes", nil)
					}
					return http.NewRequest(http.MethodPut, page, strings.NewReader(wikiText(r, all.on() && r.IntN(6) == 0)))
				}),
				Fault: all.fault,
			}, nil
		},
	}
}

// wikiText is a page of which one line, or all, are as nobody wrote them before.
func wikiText(r *rand.Rand, all bool) string {
	var b strings.Builder
	const lines = 90
	edited := r.IntN(lines)
	for line := range lines {
		about := 0
		if all || line == edited {
			about = 1 + r.IntN(1000)
		}
		fmt.Fprintf(&b, "Paragraph %d of this page says that %d is a number.\n", line, about)
	}
	return b.String()
}
