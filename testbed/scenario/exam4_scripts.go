package scenario

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/smtp"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/perfscope/perfscope/testbed/load"
	"github.com/perfscope/perfscope/testbed/server"
)

// fourthScripts are mistakes in interpreted languages.
func fourthScripts() []Scenario {
	return []Scenario{surveysChecks(), snippetsQuote(), postroomOrigins(), bookmobileRows(), diaryCareful()}
}

// surveysChecks: to compile a schema takes many times as long as to check by it, and what
// is kept by the schema's object is not found by another of the same content:
// https://ajv.js.org/guide/managing-schemas.html#compiling-during-initialization.
func surveysChecks() Scenario {
	return Scenario{
		Name:   "surveys-checks",
		Title:  "Node, fastify and ajv: a schema is compiled for each request, as it is never found again",
		Server: "surveys", Language: Node, Kind: Computation, Source: NPM, Split: Tune,
		Normal: "answers to twenty surveys are checked and counted, and reports shown",
		Fault:  "two partners send answers along with their survey, twenty times a second each",
		// apps/surveys/lib/checks.js, and what ajv does to compile: lib/core.ts and
		// lib/compile/index.ts.
		Truth:    []string{"checkOf", "compile", "_compileSchemaEnv", "compileSchema"},
		Patterns: []string{"long_computation"},
		Start: func(ctx context.Context) (Workload, error) {
			return startPackage(ctx, "surveys", func(s *server.Server) load.Config {
				return httpLoad(6, 120, func(r *rand.Rand) (*http.Request, error) {
					survey := r.IntN(20)
					if r.IntN(4) == 0 {
						return http.NewRequest(http.MethodGet, fmt.Sprintf("http://%s/reports/s%d", s.Addr, survey), nil)
					}
					return postJSON(fmt.Sprintf("http://%s/answers/s%d", s.Addr, survey), map[string]any{
						"answers": map[string]any{"q0": r.IntN(10), "q1": "as ever", "q2": "yes", "q3": []int{1, 2}},
					})
				})
			}, func(ctx context.Context, s *server.Server) (func(), error) {
				questions := map[string]any{}
				for i := range 30 {
					questions[fmt.Sprintf("item%d", i)] = map[string]any{"type": "string", "maxLength": 100 + i, "pattern": fmt.Sprintf("^[a-z ]{0,%d}$", 100+i)}
				}
				return pesterMany(ctx, 2, 50*time.Millisecond, func() (*http.Request, error) {
					return postJSON("http://"+s.Addr+"/partners/answers", map[string]any{
						"survey":  map[string]any{"name": "partner", "schema": map[string]any{"type": "object", "properties": questions}},
						"answers": map[string]any{"item0": "nothing new"},
					})
				}), nil
			})
		},
	}
}

const smithyText = `$version: "2"
namespace example.weather
/// The weather of a city.
structure City {
    @required
    name: String
    @range(min: 0, max: %d)
    inhabitants: Integer
}
list Cities {
    member: City
}
`

// snippetsQuote: a quote that is not closed has each line after it tried both ways:
// https://nvd.nist.gov/vuln/detail/CVE-2022-40896, in Pygments before 2.15.0.
func snippetsQuote() Scenario {
	return Scenario{
		Name:   "snippets-quote",
		Title:  "Python under gevent: Pygments' expression for texts in quotes backtracks",
		Server: "snippets", Language: Python, Kind: Computation, Source: Debian, Split: Tune,
		Normal: "snippets in Smithy and JSON are coloured and shown, by one worker with gevent",
		Fault:  "two authors send a snippet with an apostrophe in it, three times a second each",
		// pygments/lexers/smithy.py has the expression, lexer.py matches it, and _sre is
		// what runs.
		Truth: []string{
			"RegexLexer.get_tokens_unprocessed", "get_tokens_unprocessed", "Lexer.get_tokens.<locals>.streamer", "streamer",
			"sre_ucs1_match", "pattern_match", "_sre_SRE_Pattern_match",
		},
		Patterns: []string{"long_computation"},
		Start: func(ctx context.Context) (Workload, error) {
			s, err := server.StartSnippets(ctx)
			if err != nil {
				return Workload{}, err
			}
			add := func(language, text string) (*http.Request, error) {
				return http.NewRequest(http.MethodPost, "http://"+s.Addr+"/snippets/"+language, strings.NewReader(text))
			}
			return Workload{
				Server: s,
				Load: httpLoad(6, 80, func(r *rand.Rand) (*http.Request, error) {
					switch r.IntN(4) {
					case 0:
						return add("smithy", fmt.Sprintf(smithyText, r.IntN(1_000_000)))
					case 1:
						return add("json", fmt.Sprintf(`{"city": "x", "inhabitants": %d, "twins": ["y", "z"]}`, r.IntN(1_000_000)))
					}
					return http.NewRequest(http.MethodGet, fmt.Sprintf("http://%s/snippets/%d", s.Addr, r.IntN(500)), nil)
				}),
				Fault: func(ctx context.Context) (func(), error) {
					return pesterMany(ctx, 2, 300*time.Millisecond, func() (*http.Request, error) {
						return add("smithy", "// it\n'tis"+strings.Repeat("\n", 17)+fmt.Sprintf("%d", rand.IntN(1000)))
					}), nil
				},
			}, nil
		},
	}
}

// postroomOrigins: a resolver that waits for its answer has the event loop wait:
// https://docs.python.org/3/library/asyncio-dev.html#running-blocking-code.
func postroomOrigins() Scenario {
	return Scenario{
		Name:   "postroom-origins",
		Title:  "a mail server on asyncio waits for the name server at each mail",
		Server: "postroom", Language: Python, Kind: Hang, Source: Own, Split: Tune,
		Normal: "mail is taken by SMTP for two hundred people; the name server answers at once",
		Fault:  "the name server takes 120 ms",
		// apps/postroom/origins.py waits, for postroom.py in the event loop; dnspython's
		// resolver.py, query.py are what it calls.
		Truth: []string{
			"Porter.handle_MAIL", "handle_MAIL", "Origins.welcome", "welcome", "Resolver.resolve", "resolve",
			"udp", "send_udp", "receive_udp", "_udp_recv", "_wait_for",
		},
		Patterns: []string{"blocked_io", "stuck_call"},
		Start: func(ctx context.Context) (Workload, error) {
			n, err := startNameServer()
			if err != nil {
				return Workload{}, err
			}
			s, err := server.StartPostroom(ctx, n.ip)
			if err != nil {
				_ = n.conn.Close() // nothing was asked of it
				return Workload{}, err
			}
			return Workload{
				Server: s,
				Load: load.Config{Workers: 6, Rate: 60, Dial: func() (load.Client, error) {
					c, err := smtp.Dial(s.Addr)
					return postman{c}, err
				}},
				Fault: func(context.Context) (func(), error) {
					n.takes.Store(int64(120 * time.Millisecond))
					return func() { n.takes.Store(0) }, nil
				},
				Stop: func() { _ = n.conn.Close() },
			}, nil
		},
	}
}

type postman struct{ *smtp.Client }

func (c postman) Request(r *rand.Rand) error {
	if err := c.Mail(fmt.Sprintf("somebody@domain%d.example", r.IntN(5000))); err != nil {
		return err
	}
	if err := c.Rcpt(fmt.Sprintf("person%d@postroom.example", r.IntN(200))); err != nil {
		return err
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "From: somebody\r\nSubject: letter %d\r\n\r\n%s", r.IntN(1000), strings.Repeat("We are all well and hope that you are.\r\n", 20))
	return w.Close()
}

// bookmobileRows: what belongs to each row is asked for row by row:
// https://guides.rubyonrails.org/active_record_querying.html#n-1-queries-problem.
func bookmobileRows() Scenario {
	return Scenario{
		Name:   "bookmobile-rows",
		Title:  "Ruby, ActiveRecord: reader and book of each of 220 loans are asked for one by one",
		Server: "bookmobile", Language: Ruby, Kind: Computation, Source: Own, Split: Tune,
		Normal: "loans of villages, which have two to four, and shelves, under puma and Sinatra",
		Fault:  "two screens in a town show its 220 loans, twice a second",
		// apps/bookmobile/lists.rb, and what ActiveRecord does for each:
		// associations/singular_association.rb.
		Truth: []string{
			"rows", "Lists.rows", "block in rows", "block in Lists.rows", "SingularAssociation#reader", "reader",
			"ActiveRecord::Associations::SingularAssociation#reader", "find_target", "SingularAssociation#find_target",
			"ActiveRecord::Associations::SingularAssociation#find_target",
		},
		Patterns: []string{"long_computation", "repeated_query", "tiny_io"},
		Start: func(ctx context.Context) (Workload, error) {
			s, err := server.StartBookmobile(ctx)
			if err != nil {
				return Workload{}, err
			}
			return Workload{
				Server: s,
				Load: httpLoad(4, 40, func(r *rand.Rand) (*http.Request, error) {
					if r.IntN(3) == 0 {
						return rackRequest(fmt.Sprintf("http://%s/shelves/%d", s.Addr, r.IntN(100)))
					}
					return rackRequest(fmt.Sprintf("http://%s/villages/%d", s.Addr, 1+r.IntN(59)))
				}),
				Fault: func(ctx context.Context) (func(), error) {
					return pesterMany(ctx, 2, 500*time.Millisecond, func() (*http.Request, error) {
						return rackRequest("http://" + s.Addr + "/villages/60")
					}), nil
				},
			}, nil
		},
	}
}

// diaryCareful: who is sure of each line waits for the disk at each:
// https://www.php.net/manual/en/function.fsync.php.
func diaryCareful() Scenario {
	return Scenario{
		Name:   "diary-careful",
		Title:  "PHP, a loop of its own: each line of a diary waits for the disk",
		Server: "diary", Language: PHP, Kind: SyncWrite, Source: Own, Split: Tune,
		Normal: "eight steps of a job are written for each request, and the last and plans shown, by one process with stream_select",
		Fault:  "the diary is to be careful",
		// apps/diary/lib/Diary.php; fsync is PHP's own.
		Truth:    []string{"Diary::line", "Diary->line", "line", "fsync", "zif_fsync", "Diary::enter", "Diary->enter", "enter"},
		Patterns: []string{"sync_write_per_operation"},
		Start: func(ctx context.Context) (Workload, error) {
			s, err := server.StartDiary(ctx)
			if err != nil {
				return Workload{}, err
			}
			return Workload{
				Server: s,
				Load: getting(6, 100, s.Addr, func(r *rand.Rand) string {
					switch r.IntN(4) {
					case 0:
						return fmt.Sprintf("/jobs/%d", r.IntN(300))
					case 1:
						return "/last"
					}
					return fmt.Sprintf("/plan/%d", r.IntN(52))
				}),
				Fault: func(context.Context) (func(), error) {
					return func() {}, os.WriteFile(filepath.Join(s.Dir, "settings.ini"), []byte("careful = yes\n"), 0o644)
				},
			}, nil
		},
	}
}
