package scenario

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"

	"github.com/perfscope/perfscope/testbed/load"
	"github.com/perfscope/perfscope/testbed/server"
)

// guestbookRule: a rule of a firewall that backtracks, of the shape that took a
// large network down on 2 July 2019:
// https://blog.cloudflare.com/details-of-the-cloudflare-outage-on-july-2-2019/.
func guestbookRule() Scenario {
	return Scenario{
		Name:   "guestbook-rule",
		Title:  "Flask computes: a firewall rule that backtracks",
		Server: "guestbook", Language: Python, Kind: Computation, Source: Own, Split: Tune,
		Normal: "people read a guestbook and write comments of a few short lines, on which five expressions are tried",
		Fault:  "from now on half of the comments have a line that is long: .*(?:.*=.*;.*) tries every way to split it",
		// apps/guestbook/guestbook.py: who tries the rules on a text.
		// Below it is CPython's Modules/_sre/sre_lib.h, match for characters
		// of one byte.
		Truth:    []string{"is_attack", "sre_ucs1_match"},
		Patterns: []string{"long_computation"},
		Start: func(ctx context.Context) (Workload, error) {
			s, err := server.StartGuestbook(ctx)
			if err != nil {
				return Workload{}, err
			}
			var long atomic.Bool
			return Workload{
				Server: s,
				Load:   guestbookLoad(s, &long),
				Fault: func(context.Context) (func(), error) {
					long.Store(true)
					return func() {}, nil
				},
			}, nil
		},
	}
}

// guestbookLoad is two readers for three who write; with long, half of those
// paste a line of a program into their comment.
func guestbookLoad(s *server.Server, long *atomic.Bool) load.Config {
	return httpLoad(8, 40, func(r *rand.Rand) (*http.Request, error) {
		base := "http://" + s.Addr
		if r.IntN(5) < 2 {
			return http.NewRequest(http.MethodGet, base+"/", nil)
		}
		var text strings.Builder
		for range 2 + r.IntN(4) {
			fmt.Fprintf(&text, "The %s was %s, thank you\n", shelfWords[r.IntN(len(shelfWords))], shelfWords[r.IntN(len(shelfWords))])
		}
		if long.Load() && r.IntN(2) == 0 {
			text.WriteString(strings.Repeat("x=", 240+r.IntN(80)) + "\n")
		}
		form := url.Values{"name": {"A. Guest"}, "text": {text.String()}}
		request, err := http.NewRequest(http.MethodPost, base+"/comments", strings.NewReader(form.Encode()))
		if err == nil {
			request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		return request, err
	})
}
