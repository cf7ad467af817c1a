package scenario

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/perfscope/perfscope/testbed/load"
	"github.com/perfscope/perfscope/testbed/server"
)

// secondScripts are mistakes in programs of other interpreted languages.
func secondScripts() []Scenario {
	return []Scenario{invoicesNote(), ferriesTimers(), ballotsSpin(), freightSleep()}
}

// invoicesNote: REXML 3.2.5 reads to the next ">" and matches all it has from the start
// again: https://www.ruby-lang.org/en/news/2024/08/01/dos-rexml-cve-2024-41123/.
func invoicesNote() Scenario {
	return Scenario{
		Name:   "invoices-note",
		Title:  "Ruby reads XML that has thousands of > in a note",
		Server: "invoices", Language: Ruby, Kind: Computation, Source: Own, Split: Tune,
		Normal: "invoices come as XML and are added up, under unicorn with two workers",
		Fault:  "two firms send invoices whose note is a drawing of 4,000 arrows, five a second each",
		// rexml-3.2.5/lib/rexml/source.rb, IOSource#match, for pull_event of
		// parsers/baseparser.rb, and the regular expression's own match; onig_search of
		// libruby is what matches.
		Truth:    []string{"match", "IOSource#match", "REXML::IOSource#match", "onig_search", "onig_match", "pull_event", "BaseParser#pull_event"},
		Patterns: []string{"long_computation"},
		Start: func(ctx context.Context) (Workload, error) {
			s, err := server.StartInvoices(ctx)
			if err != nil {
				return Workload{}, err
			}
			post := func(firm, lines int, note string) (*http.Request, error) {
				var text strings.Builder
				fmt.Fprintf(&text, `<?xml version="1.0"?><invoice firm="f%d">`, firm)
				for i := range lines {
					fmt.Fprintf(&text, `<line amount="%d"/>`, 10+i)
				}
				fmt.Fprintf(&text, "<note><![CDATA[%s]]></note></invoice>", note)
				request, err := http.NewRequest(http.MethodPost, "http://"+s.Addr+"/", strings.NewReader(text.String()))
				if err == nil {
					request.Close = true // a worker has one connection at a time
				}
				return request, err
			}
			return Workload{
				Server: s,
				Load: httpLoad(4, 60, func(r *rand.Rand) (*http.Request, error) {
					if r.IntN(3) == 0 {
						return rackRequest("http://" + s.Addr + "/")
					}
					return post(r.IntN(60), 5+r.IntN(20), "as usual")
				}),
				Fault: func(ctx context.Context) (func(), error) {
					return pesterMany(ctx, 2, 200*time.Millisecond, func() (*http.Request, error) {
						return post(61, 5, strings.Repeat(">", 4000))
					}), nil
				},
			}, nil
		},
	}
}

// ferriesTimers: an interval goes on until it is cleared:
// https://nodejs.org/api/timers.html#clearintervaltimeout.
func ferriesTimers() Scenario {
	return Scenario{
		Name:   "ferries-timers",
		Title:  "a Node server's timers outlive those they are for",
		Server: "ferries", Language: Node, Kind: Computation, Source: Own, Split: Tune,
		Normal: "departures of harbours are asked for, and delays told; twenty boards have a stream each, renewed ten times a second",
		Fault:  "boards in a bad network connect two hundred times a second and are gone at once: each leaves its timer",
		// apps/ferries/server.js.
		Truth:    []string{"openBoard", "announceChanges", "nextDepartures"},
		Patterns: []string{"long_computation"},
		Start: func(ctx context.Context) (Workload, error) {
			s, err := server.StartNode(ctx, "ferries")
			if err != nil {
				return Workload{}, err
			}
			open := func(harbour int) (net.Conn, error) {
				conn, err := net.DialTimeout("tcp", s.Addr, time.Second)
				if err == nil {
					_, err = fmt.Fprintf(conn, "GET /boards/%d HTTP/1.1\r\nHost: ferries\r\n\r\n", harbour)
				}
				return conn, err
			}
			var boards []net.Conn
			for i := range 20 {
				conn, err := open(i)
				if err != nil {
					return stopAfter(err, s)
				}
				boards = append(boards, conn)
			}
			return Workload{
				Server: s,
				Load: httpLoad(8, 150, func(r *rand.Rand) (*http.Request, error) {
					if r.IntN(10) == 0 {
						return http.NewRequest(http.MethodPost, fmt.Sprintf("http://%s/late/%d", s.Addr, r.IntN(600)), nil)
					}
					return http.NewRequest(http.MethodGet, fmt.Sprintf("http://%s/harbours/%d", s.Addr, r.IntN(30)), nil)
				}),
				Fault: func(ctx context.Context) (func(), error) {
					flap := func(context.Context) {
						if conn, err := open(rand.IntN(30)); err == nil {
							rest(ctx, 5*time.Millisecond)
							_ = conn.Close()
						}
					}
					end1, end2 := repeat(ctx, 10*time.Millisecond, flap), repeat(ctx, 10*time.Millisecond, flap)
					return func() { end1(); end2() }, nil
				},
				Stop: func() {
					for _, conn := range boards {
						_ = conn.Close()
					}
					server.RemovePerfMap(s)
				},
			}, nil
		},
	}
}

// ballotScripts take votes into a file and count it, %s the address of who has the register.
var ballotScripts = map[string]string{
	"vote.php": `<?php
function lock_box($box) {
    // The mistake: it asks for the lock again at once until it has it.
    while (!flock($box, LOCK_EX | LOCK_NB)) {
    }
}
function cast_vote(int $candidate): void {
    $box = fopen(session_save_path() . '/box', 'c+');
    lock_box($box);
    fseek($box, $candidate * 8);
    $votes = (int)fread($box, 8);
    fseek($box, $candidate * 8);
    fwrite($box, sprintf('%08d', $votes + 1));
    fclose($box);
}
function read_register(): string {
    return file_get_contents('http://%s/app/export');
}
function count_votes(): int {
    $box = fopen(session_save_path() . '/box', 'c+');
    lock_box($box);
    $sum = strlen(read_register());
    foreach (str_split(stream_get_contents($box) ?: '0', 8) as $votes) { $sum += (int)$votes; }
    fclose($box);
    return $sum;
}
if (isset($_GET['count'])) { echo count_votes(), " votes\n"; } else { cast_vote((int)$_GET['candidate']); echo "thank you\n"; }
`,
	"candidates.php": `<?php
$list = [];
for ($i = 0; $i < 80; $i++) { $list[] = ['id' => $i, 'name' => ucwords(strrev("candidate $i")), 'of' => md5("party$i")]; }
usort($list, fn($a, $b) => $a['of'] <=> $b['of']);
echo json_encode($list);
`,
}

// ballotsSpin: who is refused a lock asks again without a pause.
func ballotsSpin() Scenario {
	return Scenario{
		Name:   "ballots-spin",
		Title:  "PHP asks for a file's lock again and again while another has it",
		Server: "php-fpm", Language: PHP, Kind: BusyFailingCall, Source: Own, Split: Tune,
		Normal: "votes are cast into a file, under its lock, and candidates listed",
		Fault:  "an observer has the votes counted over and over, which holds the lock while the register is asked, for 300 ms",
		// vote.php: who asks without a pause, and who has the lock meanwhile.
		Truth:    []string{"lock_box", "flock", "count_votes"},
		Patterns: []string{"busy_loop_on_failing_call", "lock_wait"},
		Start: func(ctx context.Context) (Workload, error) {
			a, err := startApplication()
			if err != nil {
				return Workload{}, err
			}
			scripts := map[string]string{"candidates.php": ballotScripts["candidates.php"]}
			scripts["vote.php"] = strings.Replace(ballotScripts["vote.php"], "%s", a.addr, 1)
			s, err := server.StartPHP(ctx, scripts)
			if err != nil {
				return stopApplication(err, a)
			}
			return Workload{
				Server: s,
				Load:   load.Config{Workers: 10, Rate: 150, Dial: func() (load.Client, error) { return voter{s}, nil }},
				Fault: func(ctx context.Context) (func(), error) {
					return repeat(ctx, 100*time.Millisecond, func(context.Context) {
						_ = phpGet(s, 10*time.Second, "vote.php", "count=1", "observer")
					}), nil
				},
				Stop: a.stop,
			}, nil
		},
	}
}

type voter struct{ *server.Server }

func (voter) Close() error { return nil }

func (c voter) Request(r *rand.Rand) error {
	if r.IntN(3) == 0 {
		return phpGet(c.Server, 10*time.Second, "vote.php", fmt.Sprintf("candidate=%d", r.IntN(80)), "voter")
	}
	return phpGet(c.Server, 10*time.Second, "candidates.php", "", "voter")
}

// freightSleep: who waits before he tries again holds his worker meanwhile.
func freightSleep() Scenario {
	return Scenario{
		Name:   "freight-sleep",
		Title:  "Perl sleeps before it asks again",
		Server: "freight", Language: C, Kind: Sleep, Source: Own, Split: Tune,
		Normal: "consignments are weighed, and their places asked of another service, by six workers",
		Fault:  "the other service has ended, its port refuses connections",
		// apps/freight/freight.psgi; as Perl's subroutines have no names here, perl's own
		// function that executes a sleep (pp_sys.c).
		Truth:    []string{"locate", "Perl_pp_sleep"},
		Patterns: []string{"sleep_in_request"},
		Start: func(ctx context.Context) (Workload, error) {
			a, err := startApplication()
			if err != nil {
				return Workload{}, err
			}
			s, err := server.StartFreight(ctx, a.addr)
			if err != nil {
				return stopApplication(err, a)
			}
			return Workload{
				Server: s,
				Load: httpLoad(6, 60, func(r *rand.Rand) (*http.Request, error) {
					what := "consignments"
					if r.IntN(15) == 0 {
						what = "places"
					}
					return rackRequest(fmt.Sprintf("http://%s/%s/%d", s.Addr, what, r.IntN(5000)))
				}),
				Fault: func(context.Context) (func(), error) { a.stop(); return func() {}, nil },
				Stop:  a.stop,
			}, nil
		},
	}
}
