package explain

import (
	"strings"
	"testing"
	"time"
)

var since = time.Date(2026, 11, 23, 14, 3, 20, 5e8, time.UTC)

func app(name, errno string, past, now float64) Call {
	return Call{Name: name, Errno: errno, Past: past, Now: now, Application: true}
}

func runtime(name, errno string, past, now float64) Call {
	return Call{Name: name, Errno: errno, Past: past, Now: now}
}

// TestSentence has a golden sentence for each situation.
func TestSentence(t *testing.T) {
	for _, c := range []struct {
		name string
		in   Anomaly
		want string
	}{
		{"a write waits for storage", Anomaly{
			Service: "shop", Since: since, Share: 0.41, Function: "flushAppendOnlyFile", Module: "redis-server",
			Doing: Waiting, Call: "fdatasync", Pattern: "sync_write_per_operation", Calls: []Call{app("write", "", 500, 600), app("fdatasync", "", 1, 499)},
		}, "shop: 41 % of its active time since 14:03:20 goes beyond its past: flushAppendOnlyFile (redis-server) waits in fdatasync on every write; fdatasync rose from 1 to 499 per second."},
		{"it computes", Anomaly{
			Service: "redis", Since: since, Share: 0.96, Function: "keysCommand", Module: "redis-server", Doing: OnCPU, Pattern: "long_computation",
			Calls: []Call{app("read", "", 900, 300)},
		}, "redis: 96 % of its active time since 14:03:20 goes beyond its past: keysCommand (redis-server) computes outside of system calls."},
		{"on CPU, no pattern", Anomaly{
			Service: "shop", Since: since, Share: 0.3, Function: "main.total", Module: "shop", Doing: OnCPU,
		}, "shop: 30 % of its active time since 14:03:20 goes beyond its past: main.total (shop) runs on CPU."},
		{"a lock, and the runtime's futexes", Anomaly{
			Service: "cart", Since: since, Share: 0.7, Function: "update", Module: "cart", Doing: Waiting, Call: "futex", Pattern: "lock_wait",
			Calls: []Call{runtime("futex", "ETIMEDOUT", 2, 90), runtime("futex", "EAGAIN", 0, 4000), runtime("sched_yield", "", 0, 9000)},
		}, "cart: 70 % of its active time since 14:03:20 goes beyond its past: update (cart) waits in futex for what other threads hold."},
		{"a lock that the application takes", Anomaly{
			Service: "cart", Since: since, Share: 0.7, Function: "update", Module: "cart", Doing: Waiting, Call: "futex", Pattern: "lock_wait",
			Calls: []Call{app("futex", "", 30, 8000), runtime("futex", "EAGAIN", 0, 90000)},
		}, "cart: 70 % of its active time since 14:03:20 goes beyond its past: update (cart) waits in futex for what other threads hold; futex rose from 30 to 8000 per second."},
		{"the runtime wakes its poller and preempts", Anomaly{
			Service: "api", Since: since, Share: 0.5, Function: "main.render", Module: "api", Doing: OnCPU, Pattern: "long_computation",
			Calls: []Call{runtime("tgkill", "", 0, 400), runtime("epoll_pwait", "", 10, 5000), runtime("rt_sigreturn", "", 0, 400)},
		}, "api: 50 % of its active time since 14:03:20 goes beyond its past: main.render (api) computes outside of system calls."},
		{"it sleeps", Anomaly{
			Service: "auth", Since: since, Share: 0.9, Function: "retry", Module: "auth", Doing: Waiting, Call: "clock_nanosleep", Pattern: "sleep_in_request",
			Calls: []Call{app("clock_nanosleep", "", 0, 31)},
		}, "auth: 90 % of its active time since 14:03:20 goes beyond its past: retry (auth) sleeps in clock_nanosleep amid work; clock_nanosleep rose from 0 to 31 per second."},
		{"a peer is slow", Anomaly{
			Service: "front", Since: since, Share: 0.66, Function: "fetch", Module: "front", Doing: Waiting, Call: "recvfrom", Pattern: "blocked_io",
			Calls: []Call{app("recvfrom", "", 400, 100)},
		}, "front: 66 % of its active time since 14:03:20 goes beyond its past: fetch (front) waits in recvfrom for a peer or a disk amid work."},
		{"a call does not return", Anomaly{
			Service: "mail", Since: since, Share: 1, Function: "deliver", Module: "smtpd", Doing: Waiting, Call: "connect", Pattern: "stuck_call",
		}, "mail: 100 % of its active time since 14:03:20 goes beyond its past: deliver (smtpd) stays in connect, which does not return."},
		{"waiting, no pattern", Anomaly{
			Service: "mail", Since: since, Share: 0.25, Function: "deliver", Doing: Waiting, Call: "wait4",
		}, "mail: 25 % of its active time since 14:03:20 goes beyond its past: deliver waits in wait4."},
		{"out of descriptors, without time lost", Anomaly{
			Service: "proxy", Since: since, Share: 0.38, Function: "ngx_event_accept", Module: "nginx", Pattern: "descriptor_exhaustion",
			Refused: Call{Name: "accept4", Errno: "EMFILE"}, Calls: []Call{app("accept4", "EMFILE", 0, 312), app("accept4", "", 600, 500)},
		}, "proxy: 38 % of its calls of accept4 fail with EMFILE since 14:03:20: ngx_event_accept (nginx) runs out of file descriptors; accept4 failing with EMFILE rose from 0 to 312 per second."},
		{"a peer is gone, and nobody stands out", Anomaly{
			Service: "front", Since: since, Share: 1, Pattern: "peer_unreachable", Refused: Call{Name: "connect", Errno: "ECONNREFUSED"},
			Calls: []Call{app("connect", "ECONNREFUSED", 0, 12)},
		}, "front: 100 % of its calls of connect fail with ECONNREFUSED since 14:03:20: no function stands out, it cannot reach a peer; connect failing with ECONNREFUSED rose from 0 to 12 per second."},
		{"a loop around a failing call", Anomaly{
			Service: "proxy", Since: since, Share: 0.8, Function: "accept_loop", Module: "proxy", Doing: OnCPU, Pattern: "busy_loop_on_failing_call",
			Calls: []Call{app("accept4", "EMFILE", 0, 81234), app("clock_gettime", "", 10, 160000)},
		}, "proxy: 80 % of its active time since 14:03:20 goes beyond its past: accept_loop (proxy) tries a call that fails again and again; accept4 failing with EMFILE rose from 0 to 81234 per second."},
		{"nameless frames of a runtime", Anomaly{
			Service: "jit", Since: since, Share: 0.4, Doing: OnCPU, Calls: []Call{runtime("madvise", "", 0, 700), app("mmap", "", 1, 8)},
		}, "jit: 40 % of its active time since 14:03:20 goes beyond its past: no function stands out, it runs on CPU."},
		{"nothing is known", Anomaly{Service: "x", Share: 0.2}, "x: 20 % of its active time goes beyond its past: no function stands out."},
		{"no service, no doing", Anomaly{Since: since, Share: 0.2, Function: "f"}, "20 % of its active time since 14:03:20 goes beyond its past: f is the first suspect."},
		{"the host is the cause", Anomaly{
			Service: "db", Since: since, Share: 0.6, Doing: Waiting, Call: "pwrite64", Calls: []Call{app("pwrite64", "", 300, 900)},
			Causes: []Cause{{Kind: "disk", Share: 0.8, Resource: "vda", Users: []string{"tar"}}, {Kind: "code", Share: 0.2}}, Hit: "pwrite_page",
		}, "db: 60 % of its active time since 14:03:20 goes beyond its past: the disk vda takes longer (tar); no function of it is to blame, pwrite_page was hit."},
		{"calls are refused on a busy host", Anomaly{
			Service: "db", Since: since, Share: 0.6, Function: "open_table", Refused: Call{Name: "openat", Errno: "EMFILE"},
			Causes: []Cause{{Kind: "code"}, {Kind: "cpu_contention", Share: 1, Users: []string{"tar"}}},
		}, "db: 60 % of its calls of openat fail with EMFILE since 14:03:20: open_table is the first suspect, and others have the CPUs it could run on (tar)."},
		{"warm-up", Anomaly{
			Service: "db", Since: since, Units: true, Function: "load", Module: "db",
		}, "db: some of its work since 14:03:20 takes far longer than the rest (there is no past yet): load (db) is the first suspect."},
		{"small calls", Anomaly{
			Service: "log", Since: since, Share: 0.55, Function: "emit", Module: "log", Doing: OnCPU, Pattern: "tiny_io",
			Calls: []Call{app("write", "", 90.4, 8000), app("read", "", 90, 95), app("open", "", 400, 3)},
		}, "log: 55 % of its active time since 14:03:20 goes beyond its past: emit (log) makes many small calls where few would do; write rose from 90 to 8000 per second."},
		{"told by signatures, in order", Anomaly{
			Service: "store", Since: since, Share: 0.5, Function: "save", Module: "store", Doing: Waiting, Call: "fdatasync", After: []string{"receive", "check"},
			Calls: []Call{app("fdatasync", "", 0.5, 4.25)},
		}, "store: 50 % of its active time since 14:03:20 goes beyond its past: save (store) waits in fdatasync; fdatasync rose from 0.5 to 4.2 per second; it runs after receive and then check."},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := Sentence(&c.in); got != c.want {
				t.Errorf("\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

// TestOnlyCallsThatRose: whatever else the figures are, a call that became rarer,
// or that only a runtime makes, is not named.
func TestOnlyCallsThatRose(t *testing.T) {
	for _, c := range []Call{
		app("read", "", 500, 3), app("read", "", 500, 499), app("read", "", 500, 501), app("read", "EAGAIN", 500, 2), app("read", "", 0, 0),
		app("read", "", 0, 15), runtime("futex", "ETIMEDOUT", 0, 1e6), runtime("tgkill", "", 0, 1e6), runtime("sched_yield", "", 0, 1e6), runtime("epoll_wait", "", 0, 1e6),
		app("rt_sigreturn", "", 0, 800), app("rt_sigreturn", "EINTR", 0, 800), app("restart_syscall", "EINTR", 0, 800), app("newfstatat", "ENOENT", 1, 5),
	} {
		for _, call := range []string{"", "fdatasync", "futex"} {
			if s := Sentence(&Anomaly{Share: 0.5, Function: "f", Doing: Waiting, Call: call, Calls: []Call{c}}); strings.Contains(s, "rose") {
				t.Errorf("%+v: %s", c, s)
			}
		}
	}
}

func TestFor(t *testing.T) {
	if got := For("shop", For("shop", "It is slow.")); got != "shop: It is slow." {
		t.Error(got)
	}
	if got := For("", "It is slow."); got != "It is slow." {
		t.Error(got)
	}
}

func TestOver(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{Over("shop: f waits.", 35*time.Second, 14.2, "recovered"), "Over after 35s, 14 s lost (recovered): shop: f waits."},
		{Over("shop: f waits.", 10*time.Minute, 0, ""), "Over after 10m0s: shop: f waits."},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
}
