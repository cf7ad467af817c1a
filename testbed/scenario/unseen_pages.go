package scenario

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"github.com/perfscope/perfscope/testbed/server"
)

// unseenPages are faults that came when causes, tails and releases were done, on
// servers never used before: a Django application, a server of calendars, GraphQL and
// rclone.
func unseenPages() []Scenario {
	return []Scenario{ordersExport(), radicaleRecurrence(), libraryOverlap(), rcloneListing(), bookingsLeak()}
}

// ordersExport: a query for each row, which select_related would save:
// https://docs.djangoproject.com/en/3.2/topics/db/optimization/.
func ordersExport() Scenario {
	return Scenario{
		Name:   "orders-export",
		Title:  "Django asks the database for the customer of each line of an export",
		Server: "orders", Language: Python, Kind: Computation, Source: Own, Split: Report,
		Normal: "orders are shown and listed, and now and then ten of them are exported",
		Fault:  "from now on exports are of 400 orders, and one request in ten is one",
		// apps/orders/orders.py; below it django/db/models/fields/related_descriptors.py
		// of Django 3.2 and the query that it makes.
		Truth: []string{
			"export_orders", "ForwardManyToOneDescriptor.__get__", "ForwardManyToOneDescriptor.get_object", "QuerySet.get",
		},
		Patterns: []string{"long_computation", "repeated_query", "tiny_io"},
		Start: func(ctx context.Context) (Workload, error) {
			s, err := server.StartOrders(ctx)
			if err != nil {
				return Workload{}, err
			}
			var all flip
			return Workload{
				Server: s,
				Load: httpLoad(6, 60, func(r *rand.Rand) (*http.Request, error) {
					base := "http://" + s.Addr
					switch n := r.IntN(10); {
					case n == 0:
						count := 10
						if all.on() {
							count = 400
						}
						return http.NewRequest(http.MethodGet, fmt.Sprintf("%s/export?first=%d&count=%d", base, 1+r.IntN(3000), count), nil)
					case n < 3:
						return http.NewRequest(http.MethodGet, base+"/orders", nil)
					}
					return http.NewRequest(http.MethodGet, fmt.Sprintf("%s/orders/%d", base, 1+r.IntN(4000)), nil)
				}),
				Fault: all.fault,
			}, nil
		},
	}
}

// radicaleRecurrence: a question for this week's events goes through every recurrence
// since the first one.
func radicaleRecurrence() Scenario {
	return Scenario{
		Name:   "radicale-recurrence",
		Title:  "radicale goes through twelve years of an event that recurs every hour",
		Server: "radicale", Language: Python, Kind: Computation, Source: Debian, Split: Report,
		Normal: "events are written to calendars, read, and this week's asked for",
		Fault:  "somebody has imported an event that recurs every hour since 2014, until 2034, and asks for this week's twice a second",
		// https://github.com/Kozea/Radicale/blob/v3.1.8/radicale/item/filter.py:
		// visit_time_ranges, for time_range_match. Below it is python-dateutil's
		// rrule.py.
		Truth: []string{
			"visit_time_ranges", "time_range_match", "time_range_match.<locals>.range_fn", "visit_time_ranges.<locals>.getrruleset.<locals>.<lambda>",
			"rrule._iter", "rruleset._iter", "rrulebase._iter_cached",
		},
		Patterns: []string{"long_computation"},
		Start: func(ctx context.Context) (Workload, error) {
			s, err := server.StartRadicale(ctx)
			if err != nil {
				return Workload{}, err
			}
			for _, user := range []string{"ann", "bob"} {
				request, err := calendarRequest("MKCALENDAR", s.Addr, user, "", "")
				if err == nil {
					err = send(ctx, http.DefaultClient, request)
				}
				if err != nil {
					return Workload{}, errors.Join(err, s.Stop())
				}
			}
			return Workload{
				Server: s,
				Load: httpLoad(4, 25, func(r *rand.Rand) (*http.Request, error) {
					number := r.IntN(40)
					switch n := r.IntN(10); {
					case n < 3:
						return calendarRequest(http.MethodPut, s.Addr, "ann", fmt.Sprintf("event-%d.ics", number), event(number, ""))
					case n < 5:
						return calendarRequest("REPORT", s.Addr, "ann", "", thisWeek)
					}
					return calendarRequest("PROPFIND", s.Addr, "ann", "", "")
				}),
				Fault: func(ctx context.Context) (func(), error) {
					request, err := calendarRequest(http.MethodPut, s.Addr, "bob", "event-1.ics", event(1, "RRULE:FREQ=HOURLY;UNTIL=20340101T000000Z\r\n"))
					if err != nil {
						return nil, err
					}
					if err := send(ctx, http.DefaultClient, request); err != nil {
						return nil, err
					}
					return pester(ctx, time.Second/2, func() (*http.Request, error) {
						return calendarRequest("REPORT", s.Addr, "bob", "", thisWeek)
					}), nil
				},
			}, nil
		},
	}
}

// thisWeek asks a calendar for the events of a week.
const thisWeek = `<?xml version="1.0"?><C:calendar-query xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav">
<D:prop><D:getetag/></D:prop>
<C:filter><C:comp-filter name="VCALENDAR"><C:comp-filter name="VEVENT">
<C:time-range start="20261130T000000Z" end="20261207T000000Z"/>
</C:comp-filter></C:comp-filter></C:filter></C:calendar-query>`

func calendarRequest(method, addr, user, name, body string) (*http.Request, error) {
	request, err := http.NewRequest(method, fmt.Sprintf("http://%s/%s/calendar/%s", addr, user, name), strings.NewReader(body))
	if err == nil {
		request.SetBasicAuth(user, "any")
		request.Header.Set("Depth", "1")
		if method == http.MethodPut {
			request.Header.Set("Content-Type", "text/calendar")
		}
	}
	return request, err
}

func event(number int, recurs string) string {
	return fmt.Sprintf("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//testbed//EN\r\nBEGIN:VEVENT\r\nUID:event-%d\r\n"+
		"DTSTART:2014%02d01T080000Z\r\nDTEND:2014%02d01T083000Z\r\nDTSTAMP:20140101T000000Z\r\nSUMMARY:Event %d\r\n%sEND:VEVENT\r\nEND:VCALENDAR\r\n",
		number, 1+number%12, 1+number%12, number, recurs)
}

// libraryOverlap: graphql 16.8.0 compares each field of a query with every other one of
// its name: CVE-2023-26144, https://github.com/advisories/GHSA-9pv7-vfvm-6vr7.
func libraryOverlap() Scenario {
	return Scenario{
		Name:   "library-overlap",
		Title:  "graphql compares every field of a query with every other",
		Server: "library", Language: Node, Kind: Computation, Source: NPM, Split: Report,
		Normal: "books are asked for by number and by word, with their authors",
		Fault:  "a client asks four times a second for the title of a book 300 times in one query",
		// graphql/validation/rules/OverlappingFieldsCanBeMergedRule.js.
		Truth: []string{
			"collectConflictsWithin", "findConflict", "sameArguments", "findConflictsWithinSelectionSet", "doTypesConflict",
		},
		Patterns: []string{"long_computation"},
		Start: func(ctx context.Context) (Workload, error) {
			s, err := server.StartNode(ctx, "library")
			if err != nil {
				return Workload{}, err
			}
			ask := func(query string, variables map[string]any) (*http.Request, error) {
				return postJSON("http://"+s.Addr+"/graphql", map[string]any{"query": query, "variables": variables})
			}
			return Workload{
				Server: s,
				Load: httpLoad(8, 120, func(r *rand.Rand) (*http.Request, error) {
					if r.IntN(3) == 0 {
						return ask("query($word: String!) { search(word: $word) { id title author { name } } }", map[string]any{"word": fmt.Sprint("part ", r.IntN(17))})
					}
					return ask("query($id: ID!) { book(id: $id) { title year author { name books { id } } } }", map[string]any{"id": r.IntN(3000)})
				}),
				Fault: func(ctx context.Context) (func(), error) {
					query := "{ book(id: 7) { " + strings.Repeat("title ", 300) + "} }"
					return pester(ctx, 250*time.Millisecond, func() (*http.Request, error) { return ask(query, nil) }), nil
				},
				Stop: func() { server.RemovePerfMap(s) },
			}, nil
		},
	}
}

// rcloneListing: a folder's listing is written anew, and sorted, for each request.
func rcloneListing() Scenario {
	return Scenario{
		Name:   "rclone-listing",
		Title:  "rclone writes the listing of a large folder for every request",
		Server: "rclone", Language: Go, Kind: Computation, Source: Debian, Split: Report,
		Normal: "files of a folder with 5,000 are fetched, over 8 connections",
		Fault:  "a crawler asks for the folder itself eight times a second",
		// https://github.com/rclone/rclone/blob/v1.60.1/cmd/serve/http/http.go: serveDir;
		// lib/http/serve/dir.go: Serve executes the template over all entries.
		Truth: []string{
			"github.com/rclone/rclone/cmd/serve/http.(*server).serveDir", "github.com/rclone/rclone/cmd/serve/http.(*HTTP).serveDir",
			"github.com/rclone/rclone/lib/http/serve.(*Directory).Serve",
		},
		Patterns: []string{"long_computation"},
		Start: func(ctx context.Context) (Workload, error) {
			s, err := server.StartRclone(ctx, 5000)
			if err != nil {
				return Workload{}, err
			}
			return Workload{
				Server: s,
				Load: httpLoad(8, 150, func(r *rand.Rand) (*http.Request, error) {
					return http.NewRequest(http.MethodGet, fmt.Sprintf("http://%s/%05d.txt", s.Addr, r.IntN(5000)), nil)
				}),
				Fault: func(ctx context.Context) (func(), error) {
					return pester(ctx, time.Second/8, func() (*http.Request, error) {
						return http.NewRequest(http.MethodGet, "http://"+s.Addr+"/", nil)
					}), nil
				},
			}, nil
		},
	}
}

// bookingsLeak: an error path does not give its connection back, until the pool has
// none left: https://node-postgres.com/apis/pool#poolconnect ("You must release a
// client when you are finished with it").
func bookingsLeak() Scenario {
	return Scenario{
		Name:   "bookings-leak",
		Title:  "a Node server's pool of connections leaks",
		Server: "bookings", Language: Node, Kind: Exhaustion, Source: NPM, Split: Report,
		Normal: "bookings are shown and moved to other rooms, in a database, with ten connections",
		Fault:  "one request in twenty asks for a room that does not exist: that path keeps its connection",
		// apps/bookings/server.js, and pg-pool's index.js, whose connect waits
		// without an end.
		Truth:    []string{"moveBooking", "connect"},
		Patterns: []string{"stuck_call", "blocked_io"},
		Start: func(ctx context.Context) (Workload, error) {
			db, err := server.StartPostgres(ctx, "-c", "synchronous_commit=off")
			if err != nil {
				return Workload{}, err
			}
			s, err := server.StartNode(ctx, "bookings", "--database", fmt.Sprintf("postgres://postgres@%s/postgres", db.Addr))
			if err != nil {
				return Workload{}, errors.Join(err, db.Stop())
			}
			var leaks flip
			return Workload{
				Server: s, Beside: []*server.Server{db},
				Load: httpLoad(16, 120, func(r *rand.Rand) (*http.Request, error) {
					target := fmt.Sprintf("http://%s/bookings/%d", s.Addr, 1+r.IntN(2000))
					if r.IntN(4) == 0 {
						room := r.IntN(200)
						if leaks.on() && r.IntN(5) == 0 {
							room += 1000
						}
						target += fmt.Sprint("/room/", room)
					}
					return http.NewRequest(http.MethodGet, target, nil)
				}),
				Fault: leaks.fault,
				Stop:  func() { server.RemovePerfMap(s); _ = db.Stop() },
			}, nil
		},
	}
}
