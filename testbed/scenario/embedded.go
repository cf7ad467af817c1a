package scenario

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync/atomic"

	"github.com/perfscope/perfscope/testbed/server"
)

// embeddedFaults are of interpreters that are a part of another program.
func embeddedFaults() []Scenario { return []Scenario{uwsgiRule(), apacheRelated()} }

// uwsgiRule is guestbookRule where the interpreter is a plugin of a program in C.
func uwsgiRule() Scenario {
	sc := guestbookRule()
	sc.Name, sc.Server = "uwsgi-rule", "uwsgi"
	sc.Title = "Flask under uWSGI computes: a firewall rule that backtracks"
	sc.Start = func(ctx context.Context) (Workload, error) {
		s, err := server.StartEmbeddedGuestbook(ctx)
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
	}
	return sc
}

// apacheRelated is phpRelated where PHP is a module of apache, and with summaries so
// short that a request takes a few milliseconds only.
func apacheRelated() Scenario {
	sc := phpRelated()
	sc.Name, sc.Server, sc.Split = "apache-related", "apache", Tune
	sc.Title = "PHP in apache computes: texts are compared by similar_text"
	sc.Fault = "the related ones are told by summaries of thirty words from now on"
	sc.Start = func(ctx context.Context) (Workload, error) {
		s, err := server.StartApachePHP(ctx, "article.php", phpArticles)
		if err != nil {
			return Workload{}, err
		}
		var long flip
		return Workload{
			Server: s,
			Load: httpLoad(8, 120, func(r *rand.Rand) (*http.Request, error) {
				query := fmt.Sprintf("id=%d", r.IntN(5000))
				if r.IntN(5) == 0 {
					words := 8
					if long.on() {
						words = 30
					}
					query += fmt.Sprintf("&words=%d", words)
				}
				return http.NewRequest(http.MethodGet, "http://"+s.Addr+"/article.php?"+query, nil)
			}),
			Fault: long.fault,
		}, nil
	}
	return sc
}
