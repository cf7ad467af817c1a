package scenario

import (
	"context"
	"io"
	"net"
	"sync"
	"time"
)

// depotSlowReader: a write that would block is tried again at once. The
// mechanism of Samba's sendfile, https://github.com/samba-team/samba/pull/73,
// and of https://github.com/apache/incubator-pagespeed-ngx/issues/1380.
func depotSlowReader() Scenario {
	return Scenario{
		Name:   "depot-slow-reader",
		Title:  "a worker spins on a send that would block",
		Server: "depot", Language: C, Kind: BusyFailingCall, Source: Own, Split: Tune,
		Normal: depotNormal,
		Fault:  "a client on a slow line downloads a manual at 50 KiB per second: send returns EAGAIN and is called again",
		// testbed/apps/depot/sock.c.
		Truth:    []string{"sock_write_all"},
		Patterns: []string{"busy_loop_on_failing_call"},
		Top:      3,
		Start: func(ctx context.Context) (Workload, error) {
			l, err := startDepot(ctx)
			if err != nil {
				return Workload{}, err
			}
			return l.workload(l.readSlowly), nil
		},
	}
}

const depotNormal = "a catalogue with eight workers: items, searches, shelves, documents, sessions, exports and some errors"

// readSlowly downloads the manual at the pace of a slow line.
func (l *depotLife) readSlowly(ctx context.Context) (func(), error) {
	conn, err := net.DialTimeout("tcp", l.Addr, time.Second)
	if err != nil {
		return nil, err
	}
	if err := conn.(*net.TCPConn).SetReadBuffer(16 * 1024); err != nil {
		conn.Close()
		return nil, err
	}
	if _, err := io.WriteString(conn, "GET /doc/manual.pdf HTTP/1.1\r\nHost: depot\r\nUser-Agent: phone\r\n\r\n"); err != nil {
		conn.Close()
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	var reading sync.WaitGroup
	reading.Go(func() {
		chunk := make([]byte, 5*1024)
		for ctx.Err() == nil {
			if _, err := io.ReadFull(conn, chunk); err != nil {
				return
			}
			pause(ctx, 100*time.Millisecond)
		}
	})
	return func() {
		cancel()
		conn.Close()
		reading.Wait()
	}, nil
}

// depotPrices: a question without a time limit, asked under a lock that every
// worker needs. The mechanism of https://github.com/hessu/aprsc/issues/64
// (aprsc's uplinks) and https://github.com/dun/munge/issues/1 (no limit).
func depotPrices() Scenario {
	return Scenario{
		Name:   "depot-prices",
		Title:  "a peer falls silent, and its one connection's lock is held",
		Server: "depot", Language: C, Kind: Hang, Source: Own, Split: Report,
		Quick:  true,
		Normal: depotNormal,
		Fault:  "the service that knows the prices takes questions and answers none: the worker that asks waits, the others wait for its lock",
		// testbed/apps/depot/price.c; price_ask is part of price_get.
		Truth:    []string{"price_get", "price_ask"},
		Patterns: []string{"stuck_call", "lock_wait"},
		Top:      3,
		Start: func(ctx context.Context) (Workload, error) {
			l, err := startDepot(ctx)
			if err != nil {
				return Workload{}, err
			}
			return l.workload(func(context.Context) (func(), error) {
				l.prices.silent.Store(true)
				return l.prices.speak, nil
			}), nil
		},
	}
}

// depotSessionSweep: every request walks the whole table of sessions with its
// lock held. The mechanism of PHP's session.gc_probability at 100 percent
// (https://www.php.net/manual/en/session.configuration.php) and of MySQL's
// large query cache, which is walked under the one lock every query needs:
// https://bugs.mysql.com/bug.php?id=21074.
func depotSessionSweep() Scenario {
	return Scenario{
		Name:   "depot-session-sweep",
		Title:  "workers queue for the session table while one of them sweeps it",
		Server: "depot", Language: C, Kind: LockConvoy, Source: Own, Split: Tune,
		Normal: depotNormal + "; a thread expires sessions, a part of the table at a time",
		Fault:  "an operator wants sessions gone on time and sets session.gc to 100: every request sweeps 25,000 sessions under their lock",
		// testbed/apps/depot/sessions.c; sessions_expire is part of
		// session_open, which takes the lock and sweeps under it.
		Truth:    []string{"session_open", "sessions_expire"},
		Patterns: []string{"lock_wait"},
		Top:      3,
		Start: func(ctx context.Context) (Workload, error) {
			l, err := startDepot(ctx)
			if err != nil {
				return Workload{}, err
			}
			return l.workload(func(context.Context) (func(), error) { return l.set("session.gc", "100", "0") }), nil
		},
	}
}

// depotRevalidate: a list opens a file for every entry. The mechanism of
// MySQL's INFORMATION_SCHEMA, which opened every table's file to list them:
// https://dev.mysql.com/worklog/task/?id=3732, for bug 19588.
func depotRevalidate() Scenario {
	return Scenario{
		Name:   "depot-revalidate",
		Title:  "a list opens and reads a file for each of its entries",
		Server: "depot", Language: C, Kind: TinyIO, Source: Own, Split: Report,
		Normal: depotNormal + "; a document is looked at once a minute",
		Fault:  "an operator sets docs.revalidate to 0 after a stale document: a page of a shelf opens, reads and closes a hundred files",
		// testbed/apps/depot/docs.c.
		Truth:    []string{"doc_check", "doc_revision"},
		Patterns: []string{"tiny_io"},
		Top:      3,
		Start: func(ctx context.Context) (Workload, error) {
			l, err := startDepot(ctx)
			if err != nil {
				return Workload{}, err
			}
			return l.workload(func(context.Context) (func(), error) { return l.set("docs.revalidate", "0", "60") }), nil
		},
	}
}

// depotBuffers: large answers grow a buffer step by step from nothing, each
// step a mapping of its own, and give it back at the end. The mechanism of
// netdata's web buffers before https://github.com/netdata/netdata/pull/12792,
// given back like memcached's (conn_shrink, in its memcached.c).
func depotBuffers() Scenario {
	return Scenario{
		Name:   "depot-buffers",
		Title:  "buffers of large answers are mapped and unmapped for every request",
		Server: "depot", Language: C, Kind: Allocation, Source: Own, Split: Tune,
		Quick:  true,
		Normal: depotNormal + "; workers keep the buffers of their answers",
		Fault:  "an operator saves memory and sets buffer.keep to 16 KiB: a large answer maps, copies and unmaps its buffer for every 16 KiB it grows",
		// testbed/apps/depot/buf.c.
		Truth:    []string{"buf_reserve", "buf_release"},
		Patterns: []string{"memory_map_churn"},
		Top:      3,
		Start: func(ctx context.Context) (Workload, error) {
			l, err := startDepot(ctx)
			if err != nil {
				return Workload{}, err
			}
			return l.workload(func(context.Context) (func(), error) { return l.set("buffer.keep", "16", "4096") }), nil
		},
	}
}
