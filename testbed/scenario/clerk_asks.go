package scenario

import (
	"context"
	"time"
)

// clerkBasket: a loop asks another service once for each line. The service answers as
// fast as ever.
func clerkBasket() Scenario {
	return Scenario{
		Name:   "clerk-basket",
		Title:  "each line of a basket is a question of its own to another service",
		Server: "clerk", Language: C, Kind: Hang, Source: Own, Split: Report,
		Normal: "one request in three is for a basket of one line, and one for a rate; both ask a service that answers in two milliseconds",
		Fault:  "baskets have 60 lines now",
		// testbed/apps/clerk/basket.c: the loop. fetch_rate, which asks, does as it is
		// told.
		Truth:    []string{"price_basket"},
		Patterns: []string{"blocked_io", "tiny_io"},
		Top:      3,
		Start: func(ctx context.Context) (Workload, error) {
			how := clerkSettings{workers: 4, connections: 8, rate: 30, mix: []string{"BASKET %d", "RATE %d", "FIND article-0%d"}}
			return startClerk(ctx, how, func(ctx context.Context, c *clerk) (func(), error) { return c.ask(ctx, time.Hour, "LINES 60") })
		},
	}
}

// clerkHistory: one function asks another service for far more than it needs. The
// service answers everything else as fast as ever.
func clerkHistory() Scenario {
	return Scenario{
		Name:   "clerk-history",
		Title:  "a page asks another service for all of its history and shows ten lines",
		Server: "clerk", Language: C, Kind: Hang, Source: Own, Split: Report,
		Normal: "one request in three is for a history of one day, and one for a rate; both ask a service that answers in a few milliseconds",
		Fault:  "there are 150 days of history now",
		// testbed/apps/clerk/basket.c and backend.c: who asks for it, and where it
		// waits for the answer.
		Truth:    []string{"show_history", "fetch_history"},
		Patterns: []string{"blocked_io", "stuck_call"},
		Top:      3,
		Start: func(ctx context.Context) (Workload, error) {
			how := clerkSettings{workers: 4, connections: 8, rate: 30, mix: []string{"HISTORY %d", "RATE %d", "FIND article-0%d"}}
			return startClerk(ctx, how, func(ctx context.Context, c *clerk) (func(), error) { return c.ask(ctx, time.Hour, "DAYS 150") })
		},
	}
}
