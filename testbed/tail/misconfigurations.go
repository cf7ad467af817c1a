package tail

import (
	"cmp"
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

// misconfigurations are mistakes in the configuration of Debian's servers that make a
// part of the requests slow from the first second on, as those that X-ray (Attariyan,
// Chow, Flinn, OSDI 2012) diagnosed. The truth are the functions that do what the
// setting has them do.
func misconfigurations() []Scenario {
	list := []Scenario{
		{
			// AllowOverride All below a folder whose .htaccess is long: server/core.c,
			// request.c and config.c read it for each request.
			Name: "apache-htaccess", Service: "apache", Start: startOverridden, Dial: byPath("/shop/a/b/c/index.bin", "/%d.bin"),
			Truth: []string{"ap_parse_htaccess", "ap_build_config", "ap_directory_walk", "ap_cfg_getline"},
		},
		{
			// src/http/modules/ngx_http_gzip_filter_module.c has no names in Debian's
			// program: 0x95f40 is its body filter (1.22.1-9+deb12u*), the one that calls deflate.
			Name: "nginx-gzip", Service: "nginx", Start: startCompressed, Dial: byPath("/reports/all.csv", "/%d.bin"),
			Truth: []string{"ngx_http_gzip_body_filter", "nginx+0x95f40"},
		},
		{
			// src/backend/jit/llvm at 15.
			Name: "postgres-jit", Service: "postgres", Start: startCompiling, Dial: askTotals,
			Truth: []string{"jit_compile_expr", "llvm_compile_expr", "llvm_get_function", "llvm_inline", "slot_compile_deform"},
		},
		{
			// src/backend/access/heap/heapam.c and executor/nodeSeqscan.c at 15.
			Name: "postgres-indexscan", Service: "postgres", Start: startScanning, Dial: askLedger,
			Truth: []string{"heap_getnextslot", "heapgetpage", "ExecScan", "SeqNext", "ExecSeqScan"},
		},
		{
			// sql/filesort.cc at 10.11.
			Name: "mariadb-sort-buffer", Service: "mariadb", Start: startSorting, Dial: askSorted,
			Truth: []string{"filesort", "merge_many_buff", "merge_buffers", "merge_index", "find_all_keys"},
		},
		{
			// src/listpack.c, t_hash.c at 7.0.
			Name: "redis-listpack", Service: "redis", Start: startPrices, Dial: askPrices,
			Truth: []string{"lpFind", "hashTypeGetFromListpack", "hashTypeGetValue", "addHashFieldToReply", "hmgetCommand"},
		},
		{
			// src/aof.c; waiting for the disk is short, and comes with many writes.
			Name: "redis-appendfsync", Service: "redis", Start: startJournal, Dial: askJournal, Rate: 600,
			Truth: []string{"flushAppendOnlyFile"},
		},
		{
			// Zend/zend_language_scanner.l and zend_language_parser.y at 8.2.
			Name: "php-opcache", Service: "php-fpm", Start: startUncached, Dial: askScript("front.php", "invoice.php"),
			Truth: []string{"compile_file", "open_file_for_scanning", "zendparse", "lex_scan"},
		},
		{
			// ext/session/mod_files.c has no names: 0x1cd6c0 is ps_files_cleanup_dir, 0x1cd880
			// ps_gc_files (8.2.*-1~deb12u1).
			Name: "php-session-gc", Service: "php-fpm", Start: startSessionsGCOf("<?php\nsession_start();\necho count($_SESSION), \"\\n\";\n"), Dial: askScript("cart.php", "cart.php"),
			Truth: []string{"php-fpm8.2+0x1cd6c0", "php-fpm8.2+0x1cd880", "php_session_start", "session_start"},
		},
		{
			// src/persist_write.c at 2.0.11: all is written after every so many changes.
			Name: "mosquitto-autosave", Service: "mosquitto", Start: startSensors, Dial: askSensors,
			Truth: []string{"persist__backup", "persist__chunk_message_store_write_v6", "persist__chunk_retain_write_v6"},
		},
		{
			// main/fopen_wrappers.c and Zend/zend_virtual_cwd.c at 8.2: with open_basedir there
			// is no cache of paths.
			Name: "php-open-basedir", Service: "php-fpm", Start: startConfined, Dial: askScript("front.php", "catalogue.php"),
			Truth: []string{
				"php_check_open_basedir", "php_check_open_basedir_ex", "php_check_specific_open_basedir", "php_resolve_path", "zend_resolve_path",
				"expand_filepath", "expand_filepath_ex", "expand_filepath_with_mode", "virtual_file_ex", "tsrm_realpath",
			},
		},
		{
			// As php-session-gc, of a program that has functions.
			Name: "php-session-gc-function", Service: "php-fpm", Start: startSessionsGCOf("<?php\nfunction open_cart(): array {\n  session_start();\n  return $_SESSION;\n}\n" +
				"function show_cart(array $cart): void { echo count($cart), \"\\n\"; }\nshow_cart(open_cart());\n"), Dial: askScript("cart.php", "cart.php"),
			Truth: []string{"php-fpm8.2+0x1cd6c0", "php-fpm8.2+0x1cd880", "php_session_start", "session_start"},
		},
	}
	for i := range list {
		list[i].Unseen, list[i].Misconfiguration = true, true
	}
	return list
}

func startOverridden(ctx context.Context, _ server.SlowWay) (*server.Server, error) {
	s, err := server.StartApache(ctx, "event", nil, `<Directory "/var/tmp/*/www/shop">`, "AllowOverride All", "</Directory>",
		"StartServers 2", "MinSpareThreads 25", "MaxSpareThreads 75", "ThreadsPerChild 25", "MaxRequestWorkers 50")
	if err != nil {
		return nil, err
	}
	shop := filepath.Join(s.Dir, "www", "shop")
	dir := filepath.Join(shop, "a", "b", "c")
	var moved strings.Builder
	for i := range 4000 {
		fmt.Fprintf(&moved, "Redirect permanent /old/article-%d /articles/%d\n", i, i)
	}
	err = errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(shop, ".htaccess"), []byte(moved.String()), 0o644),
		os.WriteFile(filepath.Join(dir, "index.bin"), []byte("shop\n"), 0o644))
	return started(s, err)
}

// started ends a server that could not be filled.
func started(s *server.Server, err error) (*server.Server, error) {
	if err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

func startCompressed(ctx context.Context, _ server.SlowWay) (*server.Server, error) {
	s, err := server.StartNginx(ctx, "location /reports/ { gzip on; gzip_comp_level 9; gzip_types *; }")
	if err != nil {
		return nil, err
	}
	var report strings.Builder
	for i := range 12000 {
		fmt.Fprintf(&report, "%d,%x,2026-11-%02d,%d.%02d,delivered to the customer\n", i, uint32(i)*2654435761, i%30+1, i%900, i%100)
	}
	dir := filepath.Join(s.Dir, "www", "reports")
	return started(s, errors.Join(os.Mkdir(dir, 0o755), os.WriteFile(filepath.Join(dir, "all.csv"), []byte(report.String()), 0o644)))
}

// startSales starts a database of sales with some settings.
func startSales(ctx context.Context, settings ...string) (*server.Server, error) {
	s, err := server.StartPostgres(ctx, settings...)
	if err != nil {
		return nil, err
	}
	c, err := client.DialPostgres(s.Addr, "postgres", "postgres")
	if err == nil {
		err = errors.Join(c.Query(`CREATE TABLE sales (id int PRIMARY KEY, amount int NOT NULL, note text);
			INSERT INTO sales SELECT i, (i * 7919) % 100003, repeat('s', 60) FROM generate_series(1, 60000) i;
			CREATE TABLE shops (id int PRIMARY KEY, name text);
			INSERT INTO shops SELECT i, 'shop ' || i FROM generate_series(1, 40) i`), c.Query("VACUUM ANALYZE"), c.Close())
	}
	return started(s, err)
}

// startCompiling has statements compiled that are over in a moment.
func startCompiling(ctx context.Context, _ server.SlowWay) (*server.Server, error) {
	return startSales(ctx, "-c", "jit=on", "-c", "jit_above_cost=50", "-c", "jit_optimize_above_cost=50", "-c", "jit_inline_above_cost=1000000")
}

func askTotals(s *server.Server) (asker, error) {
	return askSQL(s, "SELECT sum(amount) FROM sales WHERE id BETWEEN %[1]d AND %[1]d + 20",
		"SELECT amount %% 7, sum(amount), avg(amount), max(length(note)) FROM sales WHERE id BETWEEN %[1]d AND %[1]d + 3000 AND amount > 5 GROUP BY 1 ORDER BY 2")
}

// startScanning has a setting of somebody's experiment left in it.
func startScanning(ctx context.Context, _ server.SlowWay) (*server.Server, error) {
	return startSales(ctx, "-c", "enable_indexscan=off", "-c", "enable_bitmapscan=off", "-c", "enable_indexonlyscan=off", "-c", "max_parallel_workers_per_gather=0")
}

func askLedger(s *server.Server) (asker, error) {
	return askSQL(s, "SELECT name FROM shops WHERE id = %[1]d %% 40", "SELECT amount FROM sales WHERE id = %[1]d")
}

// askSQL asks for one thing or the other, each with a number.
func askSQL(s *server.Server, fast, slow string) (asker, error) {
	c, err := client.DialPostgres(s.Addr, "postgres", "postgres")
	if err != nil {
		return asker{}, err
	}
	ask := func(id int, slowly bool) error {
		query := fast
		if slowly {
			query = slow
		}
		return c.Query(fmt.Sprintf(query, id%50000))
	}
	return asker{ask: ask, close: c.Close}, nil
}

func startSorting(ctx context.Context, _ server.SlowWay) (*server.Server, error) {
	s, err := server.StartMariaDB(ctx, "--sort-buffer-size=8K")
	if err != nil {
		return nil, err
	}
	c, err := client.DialMariaDB(ctx, s.Addr, "shop")
	if err == nil {
		err = errors.Join(c.Exec("CREATE TABLE sales (id int PRIMARY KEY, amount int NOT NULL, note varchar(20)) ENGINE=InnoDB"),
			c.Exec("INSERT INTO sales SELECT seq, (seq * 7919) % 100003, concat('sale ', seq) FROM seq_1_to_20000"), c.Close())
	}
	return started(s, err)
}

func askSorted(s *server.Server) (asker, error) {
	c, err := client.DialMariaDB(context.Background(), s.Addr, "shop")
	if err != nil {
		return asker{}, err
	}
	ask := func(id int, slow bool) error {
		if slow {
			return c.Query("SELECT id, amount, note FROM sales ORDER BY amount, id LIMIT 15000, 20")
		}
		return c.Query("SELECT sum(amount) FROM sales WHERE id BETWEEN ? AND ?", id%19000, id%19000+200)
	}
	return asker{ask: ask, close: c.Close}, nil
}

func startPrices(ctx context.Context, _ server.SlowWay) (*server.Server, error) {
	s, err := server.StartRedis(ctx, "--hash-max-listpack-entries", "1000000", "--hash-max-listpack-value", "1024")
	if err != nil {
		return nil, err
	}
	c, err := client.DialRedis(s.Addr)
	if err != nil {
		return started(s, err)
	}
	for i := range 8000 {
		if err == nil {
			_, err = c.Do("HSET", "prices", fmt.Sprintf("article:%06d", i), fmt.Sprint(i*7))
		}
	}
	return started(s, errors.Join(err, c.Close()))
}

func askPrices(s *server.Server) (asker, error) {
	c, err := client.DialRedis(s.Addr)
	if err != nil {
		return asker{}, err
	}
	ask := func(id int, slow bool) error {
		if !slow {
			_, err := c.Do("GET", fmt.Sprintf("session:%d", id))
			return err
		}
		fields := []string{"HMGET", "prices"}
		for i := range 40 {
			fields = append(fields, fmt.Sprintf("article:%06d", (id*31+i*211)%8000))
		}
		_, err := c.Do(fields...)
		return err
	}
	return asker{ask: ask, close: c.Close}, nil
}

func startJournal(ctx context.Context, _ server.SlowWay) (*server.Server, error) {
	return server.StartRedis(ctx, "--appendonly", "yes", "--appendfsync", "always")
}

func askJournal(s *server.Server) (asker, error) {
	c, err := client.DialRedis(s.Addr)
	if err != nil {
		return asker{}, err
	}
	ask := func(id int, slow bool) error {
		key := fmt.Sprintf("session:%d", id)
		if slow {
			_, err := c.Do("SET", key, strings.Repeat("v", 200))
			return err
		}
		_, err := c.Do("GET", key)
		return err
	}
	return asker{ask: ask, close: c.Close}, nil
}

// startUncached starts PHP with a library that it has to read for every invoice.
func startUncached(ctx context.Context, _ server.SlowWay) (*server.Server, error) {
	var library strings.Builder
	library.WriteString("<?php\n")
	for i := range 1500 {
		fmt.Fprintf(&library, "function tax_%[1]d(array $lines, float $rate = 0.%[1]d): float {\n  $sum = 0.0;\n"+
			"  foreach ($lines as $line) { if ($line['class'] === %[1]d) { $sum += $line['net'] * $rate; } }\n  return round($sum, 2);\n}\n", i)
	}
	return server.StartPHP(ctx, map[string]string{
		"library.php": library.String(),
		"invoice.php": "<?php\nrequire 'library.php';\necho tax_7([['class' => 7, 'net' => 12.5]]), \"\\n\";\n",
		"front.php":   "<?php\necho '<h1>', date('H:i'), \"</h1>\\n\";\n",
	}, "php_admin_flag[opcache.enable] = off")
}

// startConfined starts PHP with a catalogue of many files, each of which it may read only after
// a look at its path.
func startConfined(ctx context.Context, _ server.SlowWay) (*server.Server, error) {
	scripts := map[string]string{"front.php": "<?php\necho '<h1>', date('H:i'), \"</h1>\\n\";\n"}
	var all strings.Builder
	all.WriteString("<?php\n")
	for i := range 600 {
		name := fmt.Sprintf("article_%d.php", i)
		scripts[name] = fmt.Sprintf("<?php\n$articles[%d] = 'article %d';\n", i, i)
		fmt.Fprintf(&all, "require __DIR__ . '/%s';\n", name)
	}
	all.WriteString("echo count($articles), \"\\n\";\n")
	scripts["catalogue.php"] = all.String()
	return server.StartPHP(ctx, scripts, "php_admin_value[open_basedir] = /var/tmp:/usr/share/php")
}

// startSessionsGCOf starts PHP with a script and as many old sessions as nobody removes beside it.
func startSessionsGCOf(cart string) func(context.Context, server.SlowWay) (*server.Server, error) {
	return func(ctx context.Context, w server.SlowWay) (*server.Server, error) {
		s, err := server.StartPHP(ctx, map[string]string{"cart.php": cart},
			"php_admin_value[session.gc_probability] = 1", fmt.Sprintf("php_admin_value[session.gc_divisor] = %d", 1000/max(1, w.Permille)),
			"php_admin_value[session.use_cookies] = 0", "php_admin_value[session.use_only_cookies] = 0")
		if err != nil {
			return nil, err
		}
		for i := range 15000 {
			name := filepath.Join(s.Dir, "own", fmt.Sprintf("sess_%026x", uint64(i)*2654435761))
			err = cmp.Or(err, os.WriteFile(name, []byte("user|i:7;"), 0o600))
		}
		return started(s, err)
	}
}

// askScript asks for one script, slowly for another one.
func askScript(fast, slow string) func(*server.Server) (asker, error) {
	return func(s *server.Server) (asker, error) {
		ask := func(id int, slowly bool) error {
			name := fast
			if slowly {
				name = slow
			}
			_, err := client.FastCGI(s.Addr, 20*time.Second, map[string]string{
				"SCRIPT_FILENAME": filepath.Join(s.Dir, name), "SCRIPT_NAME": "/" + name, "REQUEST_URI": fmt.Sprintf("/%s?id=%d", name, id),
				"REQUEST_METHOD": "GET", "QUERY_STRING": fmt.Sprintf("id=%d", id), "SERVER_PROTOCOL": "HTTP/1.1",
			})
			return err
		}
		return asker{ask: ask, close: func() error { return nil }}, nil
	}
}

// startSensors starts a broker that saves all that it keeps after every few changes.
func startSensors(ctx context.Context, w server.SlowWay) (*server.Server, error) {
	s, err := server.StartMosquitto(ctx, "autosave_on_changes true", fmt.Sprintf("autosave_interval %d", 1000/max(1, w.Permille)))
	if err != nil {
		return nil, err
	}
	c, err := client.DialMQTT(s.Addr, "filler")
	if err != nil {
		return started(s, err)
	}
	for i := range 4000 {
		err = cmp.Or(err, publish(c, i))
	}
	return started(s, errors.Join(err, c.Close()))
}

func publish(c *client.MQTT, sensor int) error {
	return c.Publish(fmt.Sprintf("rooms/%d/temperature", sensor), []byte(strings.Repeat("21.5 ", 20)), true)
}

func askSensors(s *server.Server) (asker, error) {
	c, err := client.DialMQTT(s.Addr, fmt.Sprintf("sensor-%d", time.Now().UnixNano()))
	if err != nil {
		return asker{}, err
	}
	return asker{ask: func(id int, _ bool) error { return publish(c, id%4000) }, close: c.Close}, nil
}
