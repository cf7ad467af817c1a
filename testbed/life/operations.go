package life

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/perfscope/perfscope/testbed/client"
	"github.com/perfscope/perfscope/testbed/server"
)

// operations are what the administrators of a kind of server do.
type operations struct {
	// reload has it read its configuration again, reopen its log files after
	// they were renamed; zero when there is none.
	reload, reopen syscall.Signal
	// stays says that it holds what clients brought when they came, and is not
	// restarted here.
	stays bool
	// fixed says that its program does not run from another path.
	fixed bool
	// What may be nil.
	dump, maintain, flush, collect act
	// report is a heavy request that somebody makes now and then, and a nightly
	// job often.
	report act
}

type act = func(context.Context, *server.Server) error

// kinds are the operations of every server that has more than Restart and what
// can be done to any.
var kinds = map[string]operations{
	"apache":   {reload: syscall.SIGUSR1, reopen: syscall.SIGUSR1},
	"catalog":  {collect: get("POST", "/admin/import")},
	"dovecot":  {reload: syscall.SIGHUP},
	"haproxy":  {reload: syscall.SIGUSR2},
	"lighttpd": {reopen: syscall.SIGHUP},
	"mariadb": {
		reload: syscall.SIGHUP, fixed: true, maintain: mariadb("ANALYZE TABLE items, carts", "FLUSH LOGS"), flush: mariadb("FLUSH TABLES"),
		report: mariadb("SELECT price, COUNT(*), MAX(name) FROM items GROUP BY price ORDER BY 2 DESC"),
	},
	"memcached": {flush: memcachedFlush},
	"mochi":     {stays: true},
	"mosquitto": {reload: syscall.SIGHUP},
	"named":     {reload: syscall.SIGHUP},
	"nats":      {stays: true},
	"nginx":     {reload: syscall.SIGHUP, reopen: syscall.SIGUSR1},
	"parcels":   {collect: collectJava},
	"pdns":      {dump: pdnsBackup},
	"php-fpm":   {reload: syscall.SIGUSR2},
	"postgres": {
		reload: syscall.SIGHUP, fixed: true, dump: postgresDump, maintain: postgres("CHECKPOINT", "VACUUM ANALYZE"),
		report: postgres("SELECT attrelid, count(*), max(attname) FROM pg_attribute GROUP BY 1 ORDER BY 2 DESC"),
	},
	"proftpd":    {reload: syscall.SIGHUP, reopen: syscall.SIGHUP},
	"prometheus": {reload: syscall.SIGHUP, collect: get("GET", "/debug/pprof/heap?gc=1")},
	"redis": {
		dump: redis("BGSAVE", "SCHEDULE"), maintain: redis("BGREWRITEAOF"), flush: redis("FLUSHALL"), collect: redis("MEMORY", "PURGE"),
		report: redis("SCAN", "0", "COUNT", "1000"),
	},
	"slapd":           {dump: slapdDump},
	"squid":           {reload: syscall.SIGHUP, reopen: syscall.SIGUSR1},
	"statsd_exporter": {reload: syscall.SIGHUP},
	"tomcat":          {fixed: true, collect: collectJava},
	"zookeeper":       {stays: true, collect: collectJava},
}

// kindsOf are what may happen to a server.
func kindsOf(name string) []Kind {
	o := kinds[name]
	all := []Kind{LoadStep, LoadRamp, Night, Batch, Cron, Tar, Rotate, Flush}
	for kind, can := range map[Kind]bool{
		Restart: !o.stays, Rolling: !o.stays, Deploy: !o.stays && !o.fixed, Reload: o.reload != 0,
		Dump: o.dump != nil, Maintain: o.maintain != nil, Collect: o.collect != nil,
	} {
		if can {
			all = append(all, kind)
		}
	}
	slices.Sort(all)
	return all
}

func get(method, path string) act {
	return func(ctx context.Context, s *server.Server) error {
		request, err := http.NewRequestWithContext(ctx, method, "http://"+s.Addr+path, nil)
		if err != nil {
			return err
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		if response.StatusCode != http.StatusOK {
			err = fmt.Errorf("%s: %s", path, response.Status)
		}
		return errors.Join(err, response.Body.Close())
	}
}

func redis(command ...string) act {
	return func(_ context.Context, s *server.Server) error {
		c, err := client.DialRedis(s.Addr)
		if err != nil {
			return err
		}
		defer c.Close()
		_, err = c.Do(command...)
		return err
	}
}

func mariadb(statements ...string) act {
	return func(ctx context.Context, s *server.Server) error {
		c, err := client.DialMariaDB(ctx, s.Addr, "shop")
		if err != nil {
			return err
		}
		defer c.Close()
		for _, statement := range statements {
			if err := c.Query(statement); err != nil {
				return fmt.Errorf("%s: %w", statement, err)
			}
		}
		return nil
	}
}

func memcachedFlush(_ context.Context, s *server.Server) error {
	c, err := client.DialMemcached(s.Addr)
	if err != nil {
		return err
	}
	_, err = c.Do([]byte("flush_all\r\n"))
	return errors.Join(err, c.Close())
}

func postgres(statements ...string) act {
	return func(_ context.Context, s *server.Server) error {
		c, err := client.DialPostgres(s.Addr, "postgres", "postgres")
		if err != nil {
			return err
		}
		for _, statement := range statements {
			err = errors.Join(err, c.Query(statement))
		}
		return errors.Join(err, c.Close())
	}
}

func postgresDump(ctx context.Context, s *server.Server) error {
	host, port, err := net.SplitHostPort(s.Addr)
	if err != nil {
		return err
	}
	file := filepath.Join(s.Dir, "life.dump")
	defer os.Remove(file)
	return s.RunTool(ctx, []string{"/usr/lib/postgresql/*/bin/pg_dump"},
		"-h", host, "-p", port, "-U", "postgres", "-Fc", "-f", file, "postgres")
}

func slapdDump(ctx context.Context, s *server.Server) error {
	file := filepath.Join(s.Dir, "life.ldif")
	defer os.Remove(file)
	return s.RunTool(ctx, []string{"slapcat"}, "-f", filepath.Join(s.Dir, "slapd.conf"), "-l", file)
}

func pdnsBackup(ctx context.Context, s *server.Server) error {
	shell, err := server.PDNSShell(ctx, s)
	if err != nil {
		return err
	}
	file := filepath.Join(s.Dir, "life.sqlite3")
	defer os.Remove(file)
	shell.Args = append(shell.Args, ".backup "+file)
	if out, err := shell.CombinedOutput(); err != nil {
		return fmt.Errorf("sqlite3: %w: %s", err, out)
	}
	return nil
}

func collectJava(ctx context.Context, s *server.Server) error {
	return s.RunTool(ctx, []string{"jcmd"}, fmt.Sprint(s.PID()), "GC.run")
}
