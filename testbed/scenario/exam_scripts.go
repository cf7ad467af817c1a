package scenario

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/perfscope/perfscope/testbed/server"
)

// examScripts are mistakes in programs of interpreted languages.
func examScripts() []Scenario {
	return []Scenario{allotmentsStock(), couriersRetry(), badgesGit(), gazetteSpaces()}
}

// allotmentsStock: SQLite has one writer at a time, and the others sleep until he is done:
// https://www.sqlite.org/c3ref/busy_timeout.html.
func allotmentsStock() Scenario {
	return Scenario{
		Name:   "allotments-stock",
		Title:  "Python waits: a transaction of SQLite is held open while scales are asked",
		Server: "allotments", Language: Python, Kind: LockConvoy, Source: Own, Split: Tune,
		Normal: "harvests are written and shown, in SQLite; five allotments' store is weighed now and then",
		Fault:  "somebody weighs the store of all 300 allotments, over and over",
		// apps/allotments/allotments.py: who holds the transaction open, what he waits
		// for in it, and who waits for it to end.
		Truth:    []string{"take_stock", "weigh", "add_harvest"},
		Patterns: []string{"lock_wait", "sleep_in_request"},
		Start: func(ctx context.Context) (Workload, error) {
			s, err := server.StartAllotments(ctx)
			if err != nil {
				return Workload{}, err
			}
			return Workload{
				Server: s,
				Load: httpLoad(10, 100, func(r *rand.Rand) (*http.Request, error) {
					switch n := r.IntN(100); {
					case n < 2:
						return http.NewRequest(http.MethodPost, "http://"+s.Addr+"/stock/5", nil)
					case n < 40:
						return http.NewRequest(http.MethodPost, fmt.Sprintf("http://%s/harvest/%d/%d", s.Addr, r.IntN(300), r.IntN(20)), nil)
					}
					return http.NewRequest(http.MethodGet, fmt.Sprintf("http://%s/allotments/%d", s.Addr, r.IntN(300)), nil)
				}),
				Fault: func(ctx context.Context) (func(), error) {
					return pester(ctx, 200*time.Millisecond, func() (*http.Request, error) {
						return http.NewRequest(http.MethodPost, "http://"+s.Addr+"/stock/300", nil)
					}), nil
				},
			}, nil
		},
	}
}

// couriersRetry: who is refused tries again at once:
// https://sre.google/sre-book/addressing-cascading-failures/ ("always use randomized
// exponential backoff when scheduling retries").
func couriersRetry() Scenario {
	return Scenario{
		Name:   "couriers-retry",
		Title:  "Ruby tries again at once, 150 times",
		Server: "couriers", Language: Ruby, Kind: Churn, Source: Own, Split: Tune,
		Normal: "couriers' tours from memory and their places from another service, with five threads",
		Fault:  "the other service has ended, its port refuses connections",
		// apps/couriers/config.ru.
		Truth:    []string{"locate_courier", "Object#locate_courier"},
		Patterns: []string{"connection_churn", "busy_loop_on_failing_call"},
		Start: func(ctx context.Context) (Workload, error) {
			a, err := startApplication()
			if err != nil {
				return Workload{}, err
			}
			s, err := server.StartCouriers(ctx, a.addr)
			if err != nil {
				return stopApplication(err, a)
			}
			return Workload{
				Server: s,
				Load: httpLoad(8, 60, func(r *rand.Rand) (*http.Request, error) {
					what := "tours"
					if r.IntN(4) == 0 {
						what = "couriers"
					}
					return rackRequest(fmt.Sprintf("http://%s/%s/%d", s.Addr, what, r.IntN(25)))
				}),
				Fault: func(context.Context) (func(), error) { a.stop(); return func() {}, nil },
				Stop:  a.stop,
			}, nil
		},
	}
}

// badgesGit: a program is started and waited for in the event loop:
// https://nodejs.org/api/child_process.html#synchronous-process-creation ("will block
// the Node.js event loop").
func badgesGit() Scenario {
	return Scenario{
		Name:   "badges-git",
		Title:  "Node starts git for each request, and waits for it in the event loop",
		Server: "badges", Language: Node, Kind: Hang, Source: Own, Split: Tune,
		Normal: "badges of projects, with the revision from a file, and a list",
		Fault:  "a deployment forgot the file of the revision",
		// apps/badges/server.js, and Node's own function that starts and waits.
		Truth:    []string{"describeRevision", "execFileSync", "spawnSync"},
		Patterns: []string{"blocked_io", "stuck_call", "tiny_io", "long_computation"},
		Start: func(ctx context.Context) (Workload, error) {
			s, err := server.StartNode(ctx, "badges")
			if err != nil {
				return Workload{}, err
			}
			return Workload{
				Server: s,
				Load: httpLoad(8, 100, func(r *rand.Rand) (*http.Request, error) {
					if r.IntN(5) == 0 {
						return http.NewRequest(http.MethodGet, "http://"+s.Addr+"/projects", nil)
					}
					return http.NewRequest(http.MethodGet, fmt.Sprintf("http://%s/badges/project%d/%d", s.Addr, r.IntN(50), r.IntN(101)), nil)
				}),
				Fault: func(context.Context) (func(), error) {
					return func() {}, os.Remove(filepath.Join(s.Dir, "REVISION"))
				},
				Stop: func() { server.RemovePerfMap(s) },
			}, nil
		},
	}
}

// gazetteSpaces: a run of spaces that does not end its line costs its square:
// https://stackstatus.tumblr.com/post/147710624694/outage-postmortem-july-20-2016.
func gazetteSpaces() Scenario {
	return Scenario{
		Name:   "gazette-spaces",
		Title:  "Perl trims lines that have thousands of spaces in their middle",
		Server: "gazette", Language: C, Kind: Computation, Source: Own, Split: Tune,
		Normal: "announcements of a gazette are taken and shown, by two workers",
		Fault:  "three people send a text five times a second that is set out with 4,000 spaces",
		// apps/gazette/gazette.psgi; as Perl's subroutines have no names here, those of
		// perl that execute the substitution: pp_hot.c and regexec.c, of which S_regtry,
		// S_regmatch and S_regrepeat are shown by where they start in Debian's binary
		// (5.36.0-7+deb12u3; gdb).
		Truth: []string{"tidy_lines", "Perl_pp_subst", "Perl_regexec_flags", "perl+0x19eaa0", "perl+0x196300", "perl+0x193e30"},

		Patterns: []string{"long_computation"},
		Start: func(ctx context.Context) (Workload, error) {
			s, err := server.StartGazette(ctx)
			if err != nil {
				return Workload{}, err
			}
			post := func(number int, text string) (*http.Request, error) {
				request, err := http.NewRequest(http.MethodPost, fmt.Sprintf("http://%s/announcements/%d", s.Addr, number), strings.NewReader(text))
				if err == nil {
					request.Close = true // a worker has one connection at a time
				}
				return request, err
			}
			return Workload{
				Server: s,
				Load: httpLoad(4, 60, func(r *rand.Rand) (*http.Request, error) {
					if r.IntN(3) == 0 {
						return rackRequest(fmt.Sprintf("http://%s/announcements/%d", s.Addr, r.IntN(100)))
					}
					return post(r.IntN(100), strings.Repeat("The council meets on a day of this week. \n", 5+r.IntN(20)))
				}),
				Fault: func(ctx context.Context) (func(), error) {
					return pesterMany(ctx, 3, 200*time.Millisecond, func() (*http.Request, error) {
						return post(7, "Left"+strings.Repeat(" ", 4000)+"right\n")
					}), nil
				},
			}, nil
		},
	}
}
