package scenario

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"

	"github.com/perfscope/perfscope/testbed/server"
)

// squidBlocklist: an url_regex list is tried on every request, and regular
// expressions have no index.
func squidBlocklist() Scenario {
	return Scenario{
		Name:   "squid-blocklist",
		Title:  "Squid tries 24,000 regular expressions on each request",
		Server: "squid", Language: C, Kind: Computation, Source: Debian, Split: Report,
		Normal: "one process passes pages and uploads to an application, some pages from memory, behind a list of forty expressions",
		Fault:  "the list is replaced by a published one with 24,000 expressions, and the configuration is read again",
		// http://wiki.squid-cache.org/SquidFaq/SquidAcl ("regular expressions
		// are CPU intensive"); src/acl/RegexData.cc at 5.7: ACLRegexData::match
		// runs one expression of the list after the other on the URL.
		Truth:    []string{"ACLRegexData::match"},
		Patterns: []string{"long_computation"},
		Start: func(ctx context.Context) (Workload, error) {
			a, err := startApplication()
			if err != nil {
				return Workload{}, err
			}
			s, err := server.StartSquid(ctx, a.addr, expressions(40))
			if err != nil {
				return stopApplication(err, a)
			}
			return Workload{
				Server: s,
				Load: httpLoad(12, 250, func(r *rand.Rand) (*http.Request, error) {
					request, err := appRequest(s.Addr, r)
					if err == nil {
						request.URL.RawQuery = fmt.Sprintf("article=%d&from=news%d&tracking=%032x", r.IntN(3000), r.IntN(9), r.Uint64())
					}
					return request, err
				}),
				Fault: func(context.Context) (func(), error) {
					return func() {}, server.BlockSquid(s, expressions(24_000))
				},
				Stop: a.stop,
			}, nil
		},
	}
}

// expressions are such as published lists of advertisers have.
func expressions(n int) []string {
	var list []string
	for i := range n {
		switch word := fmt.Sprintf("%x", uint32(i)*2654435761); i % 3 {
		case 0:
			list = append(list, `(^|\.)ads?[0-9]*\.`+word+`\.(com|net)/`)
		case 1:
			list = append(list, `/(banner|popup)s?/.*`+word+`\.(gif|png)$`)
		default:
			list = append(list, `track(er|ing)?[./].*`+word)
		}
	}
	return list
}
