package tail

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/perfscope/perfscope/testbed/client"
	"github.com/perfscope/perfscope/testbed/server"
)

// asker asks a server for one of its things, the fast or the slow way.
type asker struct {
	ask   func(id int, slow bool) error
	close func() error
}

var (
	locationTruth = []string{"ngx_regex_exec", "ngx_http_regex_exec", "ngx_http_core_find_config_phase", "ngx_http_core_find_location"}
	keysTruth     = []string{"keysCommand", "stringmatchlen", "stringmatchlen_impl"}
)

// unseen are servers that nothing was chosen by: what they are asked for decides which
// way they go, and the functions to blame are those of their sources.
func unseen() []Scenario {
	return []Scenario{
		{
			// modules/generators/mod_autoindex.c has no names in Debian's module: 0x41f0 is
			// its handler, 0x25f0 what sorts; server/request.c looks each file up.
			Name: "apache-listing", Service: "apache", Start: startListing, Dial: byPath("/incoming/", "/%d.bin"),
			Truth: []string{"mod_autoindex.so+0x41f0", "ap_sub_req_lookup_dirent", "mod_autoindex.so+0x25f0"},
		},
		{
			// PCRE does the work, for the functions that choose a location.
			Name: "nginx-regex", Service: "nginx", Start: startLocation, Dial: byPath("/q/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!", "/%d.bin"),
			Truth: locationTruth,
		},
		{
			// src/db.c, and src/util.c for each key.
			Name: "redis-keys", Service: "redis", Start: startSessions, Dial: askRedis,
			Truth: keysTruth,
		},
		{
			// src/backend/utils/sort/tuplesort.c, logtape.c, and storage/file.
			Name: "postgres-spill", Service: "postgres", Start: startEntries, Dial: askPostgres,
			Truth: []string{
				"tuplesort_puttupleslot", "tuplesort_performsort",
				"LogicalTapeWrite", "LogicalTapeRead", "BufFileWrite", "BufFileRead", "FileWrite", "FileRead",
			},
		},
		{
			Name: "php-related", Service: "php-fpm", Start: startMagazine, Dial: askPHP,
			Truth: []string{"related_articles", "similar_text"},
		},
		{
			// apps/fares/config.ru, and io.c of Ruby below it.
			Name: "ruby-upstream", Service: "fares", Start: startFares, Dial: byPath("/prices/1", "/routes/%d"), Peer: true,
			Truth: []string{"fetch_price", "rb_io_wait"},
		},
	}
}

// byPath asks over HTTP: slow has no number in it.
func byPath(slow, fast string) func(*server.Server) (asker, error) {
	return func(s *server.Server) (asker, error) {
		c := newHTTP()
		ask := func(id int, slowly bool) error {
			path := fmt.Sprintf(fast, id%40)
			if slowly {
				path = slow
			}
			_, err := get(c, "http://"+s.Addr+path)
			return err
		}
		return asker{ask: ask, close: func() error { c.CloseIdleConnections(); return nil }}, nil
	}
}

func startListing(ctx context.Context, _ server.SlowWay) (*server.Server, error) {
	return startIncoming(ctx, 8000)
}

// startIncoming starts a server with a folder of so many files.
func startIncoming(ctx context.Context, files int, directives ...string) (*server.Server, error) {
	s, err := server.StartApache(ctx, "event", nil, append(directives,
		"StartServers 2", "MinSpareThreads 25", "MaxSpareThreads 75", "ThreadsPerChild 25", "MaxRequestWorkers 50")...)
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(s.Dir, "www", "incoming")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	for i := range files {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("scan-%08x.txt", uint32(i)*2654435761)), []byte("scan\n"), 0o644); err != nil {
			return nil, errors.Join(err, s.Stop())
		}
	}
	return s, nil
}

// twoKinds is a server of which one request in eight is dear by its nature, and of the
// cheap ones a few are slow, less than what is dear takes.
func twoKinds() Scenario {
	slow := "/q/" + strings.Repeat("a", 24) + "!.bin"
	start := func(ctx context.Context, _ server.SlowWay) (*server.Server, error) {
		s, err := startIncoming(ctx, 2000, "RedirectMatch ^/q/(a|aa)+$ /found")
		if err != nil {
			return nil, err
		}
		file := filepath.Join(s.Dir, "www", slow)
		return started(s, errors.Join(os.Mkdir(filepath.Dir(file), 0o755), os.WriteFile(file, make([]byte, 4000), 0o644)))
	}
	dial := func(s *server.Server) (asker, error) {
		c := newHTTP()
		ask := func(id int, slowly bool) error {
			path := fmt.Sprintf("/%d.bin", id%40)
			switch {
			case slowly:
				path = slow
			case id/1000%8 == 0:
				path = "/incoming/"
			}
			_, err := get(c, "http://"+s.Addr+path)
			return err
		}
		return asker{ask: ask, close: func() error { c.CloseIdleConnections(); return nil }}, nil
	}
	// PCRE does the work, for mod_alias, which has no names, through server/util_pcre.c.
	return Scenario{Name: "apache-two-kinds", Service: "apache", Start: start, Dial: dial, Truth: []string{"ap_regexec", "ap_regexec_len"}}
}

func startLocation(ctx context.Context, _ server.SlowWay) (*server.Server, error) {
	return server.StartNginx(ctx, `location ~ "^/q/(a|aa)+$" { return 204; }`)
}

func startSessions(ctx context.Context, _ server.SlowWay) (*server.Server, error) {
	return startKeys(ctx, 200000)
}

func startFewSessions(ctx context.Context, _ server.SlowWay) (*server.Server, error) {
	return startKeys(ctx, 40000)
}

// startKeys starts a server with so many sessions.
func startKeys(ctx context.Context, keys int) (*server.Server, error) {
	s, err := server.StartRedis(ctx, "--enable-debug-command", "local")
	if err != nil {
		return nil, err
	}
	c, err := client.DialRedis(s.Addr)
	if err == nil {
		_, err = c.Do("DEBUG", "POPULATE", fmt.Sprint(keys), "session")
		err = errors.Join(err, c.Close())
	}
	if err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

func askRedis(s *server.Server) (asker, error) {
	c, err := client.DialRedis(s.Addr)
	if err != nil {
		return asker{}, err
	}
	ask := func(id int, slow bool) error {
		if slow {
			_, err := c.Do("KEYS", "session:*9*7*5*3*")
			return err
		}
		_, err := c.Do("GET", fmt.Sprintf("session:%d", id))
		return err
	}
	return asker{ask: ask, close: c.Close}, nil
}

// startEntries starts a database whose work_mem is too small to sort in.
func startEntries(ctx context.Context, _ server.SlowWay) (*server.Server, error) {
	s, err := server.StartPostgres(ctx, "-c", "work_mem=64kB")
	if err != nil {
		return nil, err
	}
	c, err := client.DialPostgres(s.Addr, "postgres", "postgres")
	if err == nil {
		err = errors.Join(c.Query(`CREATE TABLE entries (id int PRIMARY KEY, amount int NOT NULL, note text);
			INSERT INTO entries SELECT i, (i * 7919) % 100003, repeat('e', 60) FROM generate_series(1, 40000) i`), c.Query("VACUUM ANALYZE entries"), c.Close())
	}
	if err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

func askPostgres(s *server.Server) (asker, error) {
	c, err := client.DialPostgres(s.Addr, "postgres", "postgres")
	if err != nil {
		return asker{}, err
	}
	ask := func(id int, slow bool) error {
		if slow {
			return c.Query("SELECT id, amount, note FROM entries ORDER BY amount, id OFFSET 39980")
		}
		return c.Query(fmt.Sprintf("SELECT sum(amount) FROM entries WHERE id BETWEEN %d AND %d", id%30000, id%30000+300))
	}
	return asker{ask: ask, close: c.Close}, nil
}

// magazine has articles, and tells which are alike by their summaries.
const magazine = `<?php
function summary(int $id, int $words): string {
    $text = [];
    for ($i = 0; $i < $words; $i++) { $text[] = dechex(crc32("$id-$i") % 4096); }
    return implode(' ', $text);
}
function related_articles(int $id, string $text, int $words): array {
    $alike = [];
    for ($other = $id + 1; $other <= $id + 30; $other++) {
        $alike[$other] = similar_text($text, summary($other, $words));
    }
    arsort($alike);
    return array_slice(array_keys($alike), 0, 5);
}
$id = (int)($_GET['id'] ?? 0);
$words = min(400, (int)$_GET['words']);
echo '<h1>', summary($id, 200), "</h1>\n";
if ($words > 0) {
    foreach (related_articles($id, summary($id, $words), $words) as $other) { echo '<li>', $other, "\n"; }
}
`

func startMagazine(ctx context.Context, _ server.SlowWay) (*server.Server, error) {
	return server.StartPHP(ctx, map[string]string{"article.php": magazine})
}

func askPHP(s *server.Server) (asker, error) {
	ask := func(id int, slow bool) error {
		query := fmt.Sprintf("id=%d&words=0", id)
		if slow {
			query = fmt.Sprintf("id=%d&words=80", id)
		}
		_, err := client.FastCGI(s.Addr, 20*time.Second, map[string]string{
			"SCRIPT_FILENAME": filepath.Join(s.Dir, "article.php"), "SCRIPT_NAME": "/article.php", "REQUEST_URI": "/article.php?" + query,
			"REQUEST_METHOD": "GET", "QUERY_STRING": query, "SERVER_PROTOCOL": "HTTP/1.1",
		})
		return err
	}
	return asker{ask: ask, close: func() error { return nil }}, nil
}

func startFares(ctx context.Context, w server.SlowWay) (*server.Server, error) {
	return server.StartFares(ctx, w.Upstream)
}
