package scenario

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"time"

	"github.com/perfscope/perfscope/testbed/client"
	"github.com/perfscope/perfscope/testbed/load"
	"github.com/perfscope/perfscope/testbed/server"
)

// phpShop are the scripts of a shop, %s the address of the application that
// has its figures.
var phpShop = map[string]string{
	"cart.php": `<?php
session_start();
$_SESSION['cart'][(int)$_GET['id']] = ($_SESSION['cart'][(int)$_GET['id']] ?? 0) + 1;
if (count($_SESSION['cart']) > 20) { $_SESSION['cart'] = array_slice($_SESSION['cart'], -5, null, true); }
foreach ($_SESSION['cart'] as $id => $n) { echo "<li>$n of " . htmlspecialchars("product <$id>") . "</li>\n"; }
`,
	"search.php": `<?php
$hits = [];
for ($i = 0; $i < 400; $i++) { $hits[] = ['id' => $i, 'rank' => crc32($_GET['q'] . $i), 'name' => ucwords(strrev("product $i"))]; }
usort($hits, fn($a, $b) => $a['rank'] <=> $b['rank']);
foreach (array_slice($hits, 0, 20) as $h) { echo preg_replace('/t(\w+)/', '<b>$0</b>', $h['name']), "\n"; }
`,
	"catalog.php": `<?php
header('Content-Type: application/json');
$page = [];
for ($i = 0; $i < 60; $i++) { $page[] = ['id' => $i, 'price' => number_format($i * 1.19, 2), 'sku' => md5("sku$i")]; }
echo json_encode(['products' => $page, 'page' => (int)($_GET['page'] ?? 0)]);
`,
	"figures.php": `<?php
session_start();
echo number_format(strlen(file_get_contents("http://%s/app/" . ($_GET['of'] ?? 'report')))), " bytes of figures\n";
`,
}

// startPHP starts the shop under its load: most requests are of customers,
// one in fifty of an office that looks at figures.
func startPHP(ctx context.Context, fault func(ctx context.Context, s *server.Server, a *application) (func(), error)) (Workload, error) {
	a, err := startApplication()
	if err != nil {
		return Workload{}, err
	}
	scripts := map[string]string{}
	for name, script := range phpShop {
		if name == "figures.php" {
			script = fmt.Sprintf(script, a.addr)
		}
		scripts[name] = script
	}
	s, err := server.StartPHP(ctx, scripts)
	if err != nil {
		return stopApplication(err, a)
	}
	return Workload{
		Server: s,
		Load: load.Config{
			Workers: 12,
			Rate:    300,
			Dial:    func() (load.Client, error) { return phpCustomer{s}, nil },
		},
		Fault: func(ctx context.Context) (func(), error) { return fault(ctx, s, a) },
		Stop:  a.stop,
	}, nil
}

// phpCustomer asks as a web server would for a person.
type phpCustomer struct{ *server.Server }

func (phpCustomer) Close() error { return nil }

func (c phpCustomer) Request(r *rand.Rand) error {
	user := fmt.Sprintf("customer%04d", r.IntN(500))
	switch n := r.IntN(100); {
	case n < 40:
		return phpGet(c.Server, 4*time.Second, "cart.php", fmt.Sprintf("id=%d", r.IntN(300)), user)
	case n < 65:
		return phpGet(c.Server, 4*time.Second, "search.php", fmt.Sprintf("q=word%d", r.IntN(1000)), user)
	case n < 98:
		return phpGet(c.Server, 4*time.Second, "catalog.php", fmt.Sprintf("page=%d", r.IntN(9)), user)
	}
	return phpGet(c.Server, 4*time.Second, "figures.php", "of=report", fmt.Sprintf("clerk%d", r.IntN(20)))
}

func phpGet(s *server.Server, patience time.Duration, script, query, user string) error {
	_, err := client.FastCGI(s.Addr, patience, map[string]string{
		"SCRIPT_FILENAME": filepath.Join(s.Dir, script), "SCRIPT_NAME": "/" + script, "REQUEST_URI": "/" + script + "?" + query,
		"REQUEST_METHOD": "GET", "QUERY_STRING": query, "SERVER_PROTOCOL": "HTTP/1.1", "HTTP_COOKIE": "PHPSESSID=" + user,
	})
	return err
}

// phpSession: a session's file is locked from session_start to the end of the
// request.
func phpSession() Scenario {
	return Scenario{
		Name:   "php-session",
		Title:  "PHP waits: all tabs of one user queue for the session's file",
		Server: "php-fpm", Language: C, Kind: LockConvoy, Source: Debian, Split: Report,
		Normal: "a shop in PHP with eight children: carts in sessions, searches, a catalogue, figures from another server",
		Fault:  "somebody opens a dashboard of sixteen panels: each asks for figures that take 300 ms, with the session locked, and comes again; the others of the sixteen hold the children",
		// https://www.php.net/manual/en/function.session-write-close.php
		// ("only one script may operate on a session at any time");
		// ext/session/mod_files.c: ps_files_open waits in flock, for
		// ps_read_files, php_session_initialize, php_session_start and
		// session_start (gdb). All but the fourth have no names in Debian's
		// binary and are shown by where they start (8.2.36-1~deb12u1).
		Truth: []string{
			"php-fpm8.2+0x1d1eb0", "php-fpm8.2+0x1d2110", "php-fpm8.2+0x1cf6c0", "php_session_start", "php-fpm8.2+0x1d0500",
		},
		Patterns: []string{"lock_wait", "stuck_call"},
		Start: func(ctx context.Context) (Workload, error) {
			return startPHP(ctx, func(ctx context.Context, s *server.Server, _ *application) (func(), error) {
				return openPanels(ctx, s), nil
			})
		},
	}
}

// openPanels has the panels of a dashboard ask for their figures again and
// again, all with the cookie of one person.
func openPanels(ctx context.Context, s *server.Server) func() {
	ctx, cancel := context.WithCancel(ctx)
	var panels sync.WaitGroup
	for range 16 {
		panels.Go(func() {
			for ctx.Err() == nil {
				_ = phpGet(s, 10*time.Second, "figures.php", "of=export", "manager")
				rest(ctx, 100*time.Millisecond)
			}
		})
	}
	return func() { cancel(); panels.Wait() }
}

// phpFigures: file_get_contents waits for as long as default_socket_timeout
// says, which is a minute, and PHP's own time limit does not count it.
func phpFigures() Scenario {
	return Scenario{
		Name:   "php-figures",
		Title:  "PHP waits: the server that its pages ask does not answer",
		Server: "php-fpm", Language: C, Kind: Hang, Source: Debian, Split: Report,
		Normal: "a shop in PHP with eight children: carts in sessions, searches, a catalogue, figures from another server",
		Fault:  "the other server takes requests and answers none: one page in fifty holds its child for a minute, until all eight are held",
		// https://www.php.net/manual/en/filesystem.configuration.php#ini.default-socket-timeout
		// main/streams/streams.c: _php_stream_fill_read_buffer asks the
		// socket, for _php_stream_open_wrapper_ex, which waits for the
		// answer's first line (ext/standard/http_fopen_wrapper.c).
		Truth: []string{
			"_php_stream_fill_read_buffer", "_php_stream_open_wrapper_ex", "_php_stream_get_line", "_php_stream_read",
		},
		Patterns: []string{"stuck_call", "blocked_io"},
		Start: func(ctx context.Context) (Workload, error) {
			return startPHP(ctx, func(_ context.Context, _ *server.Server, a *application) (func(), error) {
				a.databaseHangs.Store(true)
				return func() { a.databaseHangs.Store(false) }, nil
			})
		},
	}
}
