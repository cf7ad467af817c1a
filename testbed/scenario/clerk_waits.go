package scenario

import (
	"context"
	"fmt"
	"time"
)

// clerkHeld: however many threads one slow service holds, it is one cause, and
// its verdict the same.
func clerkHeld(threads int) Scenario {
	return Scenario{
		Name:   fmt.Sprintf("clerk-held-%d", threads),
		Title:  fmt.Sprintf("one slow service holds %d threads", threads),
		Server: "clerk", Language: C, Kind: Hang, Source: Own, Split: Tune,
		Normal: "half of the requests need a rate, from a service that answers in two milliseconds",
		Fault:  "the service takes 700 milliseconds for a rate",
		// testbed/apps/clerk/backend.c.
		Truth:    []string{"fetch_rate"},
		Patterns: []string{"blocked_io", "stuck_call"},
		Top:      1,
		Start: func(ctx context.Context) (Workload, error) {
			how := clerkSettings{workers: threads, connections: 24, rate: 60, mix: []string{"RATE %d", "FIND article-0%d"}}
			return startClerk(ctx, how, func(_ context.Context, c *clerk) (func(), error) { return c.slowRates(700 * time.Millisecond) })
		},
	}
}

// clerkSlices: the only thread of a server waits, in a loop around poll whose
// timeout is short, so that no single wait looks long and the thread as if it
// were parked.
func clerkSlices() Scenario {
	return Scenario{
		Name:   "clerk-slices",
		Title:  "the only thread waits in slices of 200 milliseconds",
		Server: "clerk", Language: C, Kind: Hang, Source: Own, Split: Tune,
		Normal: "half of the requests need a rate, from a service that answers in two milliseconds",
		Fault:  "the service takes 900 milliseconds for a rate; the server looks every 200 whether it has come",
		// testbed/apps/clerk/backend.c.
		Truth:    []string{"poll_rate"},
		Patterns: []string{"blocked_io", "stuck_call"},
		Top:      1,
		Start: func(ctx context.Context) (Workload, error) {
			how := clerkSettings{workers: 1, connections: 8, rate: 60, mix: []string{"POLL %d", "FIND article-0%d"}}
			return startClerk(ctx, how, func(_ context.Context, c *clerk) (func(), error) { return c.slowRates(900 * time.Millisecond) })
		},
	}
}

// clerkSpin: threads spin for a lock whose holder sleeps and syncs: their CPU time
// is a wait for the holder.
func clerkSpin() Scenario {
	return Scenario{
		Name:   "clerk-spin",
		Title:  "threads spin for a lock whose holder waits for the disk",
		Server: "clerk", Language: C, Kind: LockConvoy, Source: Own, Split: Tune,
		Normal: "requests of all sorts; one in six writes a note under a lock that is held for microseconds",
		Fault:  "ten times a second somebody has the notes on the disk and copied, with the lock held",
		// testbed/apps/clerk/journal.c: the holder. Those who spin, in
		// journal_lock, are its victims.
		Truth:    []string{"journal_commit"},
		Patterns: []string{"lock_wait", "sync_write_per_operation", "sleep_in_request"},
		Top:      3,
		Start: func(ctx context.Context) (Workload, error) {
			return startClerk(ctx, usualClerk, func(ctx context.Context, c *clerk) (func(), error) {
				return c.ask(ctx, 100*time.Millisecond, "COMMIT 1")
			})
		},
	}
}
