package scenario

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/perfscope/perfscope/testbed/client"
)

// courierLeases: a deadline that has passed is set again to when it was, and
// the event loop does not sleep any more. The mechanism of HAProxy's loops on
// a stream whose expiration date is in the past, which wake_expired_tasks
// queues again and again: https://github.com/haproxy/haproxy/issues/662.
func courierLeases() Scenario {
	return Scenario{
		Name:   "courier-leases",
		Title:  "an event loop does not sleep: leases in the past stay armed",
		Server: "courier", Language: C, Kind: PollNoSleep, Source: Own, Split: Tune,
		Normal: "a message relay with publishers, consumers, subscribers and an upstream",
		Fault:  "a subscriber stops reading in mid-stream: leases of messages that can't leave expire and are set again to the time that has passed",
		// testbed/apps/courier/subscribe.c.
		Truth:    []string{"lease_expired"},
		Patterns: []string{"poll_without_sleep"},
		Top:      3,
		Start: func(ctx context.Context) (Workload, error) {
			l, err := startCourier(ctx)
			if err != nil {
				return Workload{}, err
			}
			return l.workload(func(context.Context) (func(), error) { return l.stall() }), nil
		},
	}
}

// stall subscribes to busy topics and then reads nothing.
func (l *courierLife) stall() (func(), error) {
	conn, err := net.DialTimeout("tcp", l.Addr, time.Second)
	if err != nil {
		return nil, err
	}
	// A small device: it buffers little.
	if err := conn.(*net.TCPConn).SetReadBuffer(4096); err != nil {
		conn.Close()
		return nil, err
	}
	c := client.NewCourier(conn)
	for i := range 4 {
		if err := c.Send(fmt.Sprintf("SUB events.%d 32", i), nil, ""); err != nil {
			conn.Close()
			return nil, err
		}
	}
	return func() { conn.Close() }, nil
}

// courierHeaders: for every header the sizes of all headers before it are
// added up again. The mechanism of CVE-2019-15226:
// https://github.com/envoyproxy/envoy/issues/8520.
func courierHeaders() Scenario {
	return Scenario{
		Name:   "courier-headers",
		Title:  "headers are counted from the start for every header",
		Server: "courier", Language: C, Kind: Computation, Source: Own, Split: Report,
		Normal: "a message relay with publishers, consumers, subscribers and an upstream; messages have three to eight headers",
		Fault:  "an exporter that writes every label as a header joins: 5,000 short headers in each of ten messages per second",
		// testbed/apps/courier/header.c.
		Truth:    []string{"headers_add", "headers_bytes"},
		Patterns: []string{"long_computation"},
		Top:      3,
		Start: func(ctx context.Context) (Workload, error) {
			l, err := startCourier(ctx)
			if err != nil {
				return Workload{}, err
			}
			return l.workload(l.export), nil
		},
	}
}

// export publishes messages with many headers until it is ended.
func (l *courierLife) export(ctx context.Context) (func(), error) {
	c, err := client.DialCourier(l.Addr)
	if err != nil {
		return nil, err
	}
	headers := make([]string, 5000)
	for i := range headers {
		headers[i] = fmt.Sprintf("label-%d: %d", i, i*7%1000)
	}
	return repeating(ctx, 100*time.Millisecond, func() error {
		_, err := c.Do("PUB orders.export", headers, courierBody)
		return err
	}, func() { c.Close() }), nil
}

// repeating calls do in an interval until it fails or is ended, then done.
func repeating(ctx context.Context, interval time.Duration, do func() error, done func()) (end func()) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer done()
		tick := time.NewTicker(interval)
		defer tick.Stop()
		for do() == nil {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	}()
	return func() { cancel(); <-ended }
}

// courierJournal: the event loop waits for the disk at every message. The
// mechanism of beanstalkd with -f 0, thirty times slower:
// https://github.com/beanstalkd/beanstalkd/issues/548.
func courierJournal() Scenario {
	return Scenario{
		Name:   "courier-journal",
		Title:  "an event loop syncs its journal for every message",
		Server: "courier", Language: C, Kind: SyncWrite, Source: Own, Split: Tune,
		Quick:  true,
		Normal: "a message relay with publishers, consumers, subscribers and an upstream; a thread syncs the journal once a second",
		Fault:  "an operator sets journal.sync to always",
		// testbed/apps/courier/journal.c.
		Truth:    []string{"journal_append"},
		Patterns: []string{"sync_write_per_operation"},
		Top:      3,
		Start: func(ctx context.Context) (Workload, error) {
			l, err := startCourier(ctx)
			if err != nil {
				return Workload{}, err
			}
			return l.workload(func(context.Context) (func(), error) {
				return func() { _ = l.admin("set journal.sync second") }, l.admin("set journal.sync always")
			}), nil
		},
	}
}

// courierUpstream: the pause between two attempts starts anew with every
// connection that comes about, even if it ends at once. The mechanism of
// https://github.com/grpc/grpc-go/issues/1525 (HAProxy without a backend).
func courierUpstream() Scenario {
	return Scenario{
		Name:   "courier-upstream",
		Title:  "a dead upstream behind a balancer is connected to again and again",
		Server: "courier", Language: C, Kind: Churn, Source: Own, Split: Report,
		Normal: "a message relay with publishers, consumers, subscribers and an upstream that billing is forwarded to",
		Fault:  "the upstream dies behind its balancer, which accepts connections and resets them: each success takes the pause back; billing piles up and is refused",
		// testbed/apps/courier/upstream.c: upstream_down connects at once
		// when the pause is zero, to which upstream_up sets it; that one
		// is part of upstream_ready.
		Truth:    []string{"upstream_down", "upstream_connect", "upstream_ready"},
		Patterns: []string{"connection_churn"},
		Top:      3,
		Start: func(ctx context.Context) (Workload, error) {
			l, err := startCourier(ctx)
			if err != nil {
				return Workload{}, err
			}
			return l.workload(func(context.Context) (func(), error) {
				l.upstream.die()
				return func() {}, nil
			}), nil
		},
	}
}
