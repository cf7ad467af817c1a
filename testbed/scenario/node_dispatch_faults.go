package scenario

import (
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"time"
)

// dispatchFault is a scenario of the dispatch server without its fault.
func dispatchFault(sc Scenario, fault func(ctx context.Context, d *dispatch) (func(), error)) Scenario {
	sc.Server, sc.Language, sc.Source = "dispatch", Node, Own
	sc.Normal = "a parcel service: lookups, scans, labels, quotes asked of a peer, searches, small uploads"
	sc.Start = func(ctx context.Context) (Workload, error) {
		d, err := startDispatch(ctx)
		if err != nil {
			return Workload{}, err
		}
		return d.workload(func(ctx context.Context) (func(), error) { return fault(ctx, d) }), nil
	}
	return sc
}

// nodeLogLoop: the access log counts what is to be written in bytes and what
// was written in characters. After one name with an accent it believes for
// ever that something is left, and writes nothing, again and again: the bug of
// https://github.com/pinojs/sonic-boom/issues/162 ("CPU pegged at 100% due to
// sonic-boom trying to write empty buffer"; the two counts:
// https://github.com/pinojs/sonic-boom/issues/139).
func nodeLogLoop() Scenario {
	return dispatchFault(Scenario{
		Name:  "node-log-loop",
		Title: "node never sleeps: a log that writes nothing for ever",
		Kind:  PollNoSleep, Split: Tune, Quick: true,
		Fault: "a customer called Zoë asks once: the log's count of bytes never comes back to zero",
		// access_log.js: #release starts the next write, #writeNext makes it.
		Truth:    []string{"#release", "#writeNext"},
		Patterns: []string{"poll_without_sleep", "tiny_io"},
	}, func(ctx context.Context, d *dispatch) (func(), error) {
		request, err := http.NewRequest(http.MethodGet, "http://"+d.Addr+"/parcels?customer=Zo%C3%AB", nil)
		if err != nil {
			return nil, err
		}
		return func() {}, send(ctx, http.DefaultClient, request)
	})
}

// nodeJournalSync: every change is written and synced while the event loop
// waits, as write-file-atomic's fsync does in its synchronous form:
// https://github.com/npm/write-file-atomic/issues/155 ("final fsync makes it
// 16 times slower").
func nodeJournalSync() Scenario {
	return dispatchFault(Scenario{
		Name:  "node-journal-sync",
		Title: "node waits for the disk at every change",
		Kind:  SyncWrite, Split: Report,
		Fault: "an administrator sets journal.sync to always: fsync in the path of every change",
		// journal.js: append decides, #appendNow writes and syncs.
		Truth:    []string{"#appendNow", "append"},
		Patterns: []string{"sync_write_per_operation"},
	}, func(ctx context.Context, d *dispatch) (func(), error) {
		request, err := postJSON("http://"+d.Addr+"/admin/settings", map[string]string{"journal.sync": "always"})
		if err != nil {
			return nil, err
		}
		return func() {}, send(ctx, http.DefaultClient, request)
	})
}

// nodeAuditPipe: a synchronous write to a pipe fails with EAGAIN when its
// reader is behind, and is tried again at once. That writeSync fails so is
// https://github.com/pinojs/sonic-boom/pull/33 (which sleeps between); the
// retry without a sleep is https://github.com/open-gsd/gsd-core/issues/1217.
func nodeAuditPipe() Scenario {
	return dispatchFault(Scenario{
		Name:  "node-audit-pipe",
		Title: "node spins on a full pipe",
		Kind:  BusyFailingCall, Split: Tune,
		Fault: "the log shipper reads its pipe every 1.4 s only: it is full for a third of the time",
		// audit_trail.js: the loop around writeSync, for each record.
		Truth:    []string{"#writeAll", "record"},
		Patterns: []string{"busy_loop_on_failing_call"},
	}, func(_ context.Context, d *dispatch) (func(), error) {
		d.shipper.slow(1400 * time.Millisecond)
		return func() { d.shipper.slow(20 * time.Millisecond) }, nil
	})
}

// nodeManifest: whether a reference is new is asked of an array, for every
// line: quadratic, as acorn's tables of declared names were:
// https://github.com/acornjs/acorn/issues/1457.
func nodeManifest() Scenario {
	return dispatchFault(Scenario{
		Name:  "node-manifest",
		Title: "node computes: duplicates looked for in an array",
		Kind:  Computation, Split: Report, Quick: true,
		Fault: "a large shipper sends manifests of 7,000 lines, two a second: indexOf over what came before, for each",
		// manifests.js: declare scans, addLine calls it, and V8 compiles both
		// into accept, whose loop calls them (--trace-turbo-inlining).
		Truth:    []string{"declare", "addLine", "accept"},
		Patterns: []string{"long_computation"},
	}, func(ctx context.Context, d *dispatch) (func(), error) {
		r := rand.New(rand.NewPCG(7, 7))
		return pester(ctx, 500*time.Millisecond, func() (*http.Request, error) {
			return postJSON("http://"+d.Addr+"/manifests", dispatchManifest(r, 7000))
		}), nil
	})
}

// nodeProof: a body is put together by copying all of it for every chunk:
// https://github.com/richardgirges/express-fileupload/pull/22 and
// https://github.com/aws/aws-sdk-js/issues/597.
func nodeProof() Scenario {
	return dispatchFault(Scenario{
		Name:  "node-proof",
		Title: "node copies: an upload is copied at every chunk",
		Kind:  Allocation, Split: Tune,
		Fault: "drivers send photographs of 4 MiB in place of signatures, one a second, in pieces of 16 KiB",
		// proofs.js: addChunk concatenates; V8 compiles it into the loop of
		// receive (--trace-turbo-inlining).
		Truth:    []string{"addChunk", "receive"},
		Patterns: []string{"memory_map_churn", "long_computation"},
	}, func(ctx context.Context, d *dispatch) (func(), error) {
		return pester(ctx, time.Second, func() (*http.Request, error) {
			return http.NewRequest(http.MethodPut, "http://"+d.Addr+"/parcels/p19000/proof", &photograph{left: 4 << 20})
		}), nil
	})
}

// photograph comes in pieces, as fast as a mobile network lets it.
type photograph struct{ left int }

func (p *photograph) Read(b []byte) (int, error) {
	if p.left == 0 {
		return 0, io.EOF
	}
	time.Sleep(500 * time.Microsecond)
	n := min(len(b), p.left, 16<<10)
	p.left -= n
	return n, nil
}
