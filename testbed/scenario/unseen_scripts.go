package scenario

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/perfscope/perfscope/testbed/load"
	"github.com/perfscope/perfscope/testbed/server"
)

// unseenScripts are mistakes in what is kept, in scripts.
func unseenScripts() []Scenario {
	return []Scenario{mailroomDates(), formsClock(), thumbsPrograms(), phpCollect()}
}

// mailroomDates: moment 2.29.3 looks for comments in a date in a time that grows with
// the square: CVE-2022-31129, https://github.com/advisories/GHSA-wc69-rhjr-hc9g.
func mailroomDates() Scenario {
	return Scenario{
		Name:   "mailroom-dates",
		Title:  "moment looks for comments in a long date",
		Server: "mailroom", Language: Node, Kind: Computation, Source: NPM, Split: Report,
		Normal: "letters are filed by their date, and read",
		Fault:  "somebody sends a letter twice a second whose date is 30,000 opening brackets",
		// moment/moment.js: preprocessRFC2822, for configFromRFC2822.
		Truth:    []string{"preprocessRFC2822", "configFromRFC2822", "configFromString"},
		Patterns: []string{"long_computation"},
		Start: func(ctx context.Context) (Workload, error) {
			s, err := server.StartNode(ctx, "mailroom")
			if err != nil {
				return Workload{}, err
			}
			letter := func(date string) (*http.Request, error) {
				return postJSON("http://"+s.Addr+"/letters", map[string]string{"from": "somebody", "date": date, "text": strings.Repeat("dear all ", 20)})
			}
			return Workload{
				Server: s,
				Load: httpLoad(8, 120, func(r *rand.Rand) (*http.Request, error) {
					day := time.Date(2026, 1, 1+r.IntN(200), r.IntN(24), 0, 0, 0, time.UTC)
					switch r.IntN(4) {
					case 0:
						return letter(day.Format(time.RFC1123Z))
					case 1:
						return letter(day.Format(time.RFC3339))
					}
					return http.NewRequest(http.MethodGet, "http://"+s.Addr+"/days/"+day.Format(time.DateOnly), nil)
				}),
				Fault: func(ctx context.Context) (func(), error) {
					return pester(ctx, 500*time.Millisecond, func() (*http.Request, error) { return letter(strings.Repeat("(", 30_000)) }), nil
				},
				Stop: func() { server.RemovePerfMap(s) },
			}, nil
		},
	}
}

// formsClock: a file whose time lies in the future is always newer than what was read.
func formsClock() Scenario {
	return Scenario{
		Name:   "forms-clock",
		Title:  "Flask reads a file of YAML for every request",
		Server: "forms", Language: Python, Kind: Computation, Source: Own, Split: Report,
		Normal: "forms are shown and filled; they are described in a file of YAML that is read again when it is newer than what was read",
		Fault:  "the file comes from a machine whose clock is an hour ahead",
		// apps/forms/forms.py, and PyYAML: Debian's safe_load is written in Python.
		Truth:    []string{"load_forms", "load_forms.<locals>.<dictcomp>", "current_forms", "safe_load", "load", "BaseConstructor.get_single_data", "Composer.get_single_node"},
		Patterns: []string{"long_computation"},
		Start: func(ctx context.Context) (Workload, error) {
			s, file, err := server.StartForms(ctx, describeForms(40))
			if err != nil {
				return Workload{}, err
			}
			// What was written a moment ago may be as new as what was read.
			if err := os.Chtimes(file, time.Time{}, time.Now().Add(-time.Hour)); err != nil {
				return stopAfter(err, s)
			}
			return Workload{
				Server: s,
				Load: httpLoad(6, 60, func(r *rand.Rand) (*http.Request, error) {
					form := fmt.Sprintf("http://%s/forms/form-%d", s.Addr, r.IntN(40))
					if r.IntN(3) > 0 {
						return http.NewRequest(http.MethodGet, form, nil)
					}
					request, err := http.NewRequest(http.MethodPost, form, strings.NewReader("field-0=a&field-1=b&field-2=c&field-3=d"))
					if err == nil {
						request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
					}
					return request, err
				}),
				Fault: func(context.Context) (func(), error) {
					return func() {}, os.Chtimes(file, time.Time{}, time.Now().Add(time.Hour))
				},
			}, nil
		},
	}
}

func describeForms(many int) string {
	var text strings.Builder
	text.WriteString("forms:\n")
	for form := range many {
		fmt.Fprintf(&text, "  - name: form-%d\n    fields:\n", form)
		for field := range 4 {
			fmt.Fprintf(&text, "      - {name: field-%d, needed: true, label: \"What to write, %d\"}\n", field, field)
		}
	}
	return text.String()
}

// thumbsPrograms: two programs and a shell are started for each request whose address is
// new.
func thumbsPrograms() Scenario {
	return Scenario{
		Name:   "thumbs-programs",
		Title:  "Ruby starts a program for each request",
		Server: "thumbs", Language: Ruby, Kind: Hang, Source: Own, Split: Report,
		Normal: "pictures with their checksums, which are kept, and lists of albums",
		Fault:  "a release of the pages adds a number to each address so that nothing is cached: each checksum is reckoned anew, by a program",
		// apps/thumbs/config.ru; Ruby waits for the program's output in rb_f_backquote.
		Truth:    []string{"run_sum", "Object#run_sum", "checksum", "Object#checksum", "`", "Kernel#`", "rb_f_backquote"},
		Patterns: []string{"blocked_io", "stuck_call"},
		Start: func(ctx context.Context) (Workload, error) {
			s, err := server.StartThumbs(ctx)
			if err != nil {
				return Workload{}, err
			}
			var fresh flip
			var number atomic.Int64
			return Workload{
				Server: s,
				Load: httpLoad(8, 60, func(r *rand.Rand) (*http.Request, error) {
					if r.IntN(3) == 0 {
						return rackRequest(fmt.Sprintf("http://%s/albums/%d", s.Addr, r.IntN(60)))
					}
					url := fmt.Sprintf("http://%s/pictures/%d", s.Addr, r.IntN(50))
					if fresh.on() {
						url += fmt.Sprint("?t=", number.Add(1))
					}
					return rackRequest(url)
				}),
				Fault: fresh.fault,
			}, nil
		},
	}
}

// phpCollect: now and then a request that opens its session looks at the files of all
// others: https://www.php.net/manual/en/session.configuration.php#ini.session.gc-probability.
func phpCollect() Scenario {
	return Scenario{
		Name:   "php-collect",
		Title:  "PHP goes through all sessions to find old ones",
		Server: "php-fpm", Language: PHP, Kind: TinyIO, Source: Debian, Split: Report,
		Normal: "carts in sessions, searches and a catalogue; one request in ten that opens a session looks for old ones",
		Fault:  "a crawler that keeps no cookies has left 40,000 sessions",
		// The function of the script, and what it calls. Below it are
		// ext/session/session.c, php_session_start, and mod_files.c,
		// ps_files_cleanup_dir, of which Debian's binary names the first.
		Truth:    []string{"open_cart", "session_start", "php_session_start", "php_session_initialize"},
		Patterns: []string{"tiny_io", "long_computation"},
		Start: func(ctx context.Context) (Workload, error) {
			scripts := map[string]string{
				"cart.php":    "<?php\nfunction open_cart(): void { session_start(); }\nopen_cart();\n" + strings.TrimPrefix(phpShop["cart.php"], "<?php\nsession_start();\n"),
				"search.php":  phpShop["search.php"],
				"catalog.php": phpShop["catalog.php"],
			}
			s, err := server.StartPHP(ctx, scripts, "php_admin_value[session.gc_probability] = 1", "php_admin_value[session.gc_divisor] = 10")
			if err != nil {
				return Workload{}, err
			}
			return Workload{
				Server: s,
				Load: load.Config{
					Workers: 12,
					Rate:    200,
					Dial:    func() (load.Client, error) { return phpVisitor{s}, nil },
				},
				Fault: func(context.Context) (func(), error) { return func() {}, leaveSessions(s, 40_000) },
			}, nil
		},
	}
}

type phpVisitor struct{ *server.Server }

func (phpVisitor) Close() error { return nil }

func (v phpVisitor) Request(r *rand.Rand) error {
	switch n := r.IntN(10); {
	case n < 4:
		return phpGet(v.Server, 10*time.Second, "cart.php", fmt.Sprintf("id=%d", r.IntN(300)), fmt.Sprintf("customer%04d", r.IntN(500)))
	case n < 7:
		return phpGet(v.Server, 10*time.Second, "search.php", fmt.Sprintf("q=word%d", r.IntN(1000)), "")
	}
	return phpGet(v.Server, 10*time.Second, "catalog.php", fmt.Sprintf("page=%d", r.IntN(9)), "")
}

// leaveSessions writes the files of empty sessions, as so many visits would.
func leaveSessions(s *server.Server, many int) error {
	for i := range many {
		if err := os.WriteFile(filepath.Join(s.Dir, "own", fmt.Sprintf("sess_crawler%06d", i)), nil, 0o600); err != nil {
			return err
		}
	}
	return nil
}
