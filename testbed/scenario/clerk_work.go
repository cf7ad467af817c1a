package scenario

import (
	"context"
	"time"
)

// clerkHelper: everything writes through put_bytes; what one caller does with it
// is that caller's.
func clerkHelper() Scenario {
	return Scenario{
		Name:   "clerk-helper",
		Title:  "a caller writes three bytes at a time through the program's own helper",
		Server: "clerk", Language: C, Kind: TinyIO, Source: Own, Split: Tune,
		Normal: "requests of all sorts; one in six keeps a copy of a page, written at once",
		Fault:  "five times a second somebody exports 30,000 rows",
		// testbed/apps/clerk/list.c: who decides how much is written at once.
		Truth:    []string{"export_file"},
		Patterns: []string{"tiny_io"},
		Top:      1,
		Start: func(ctx context.Context) (Workload, error) {
			return startClerk(ctx, usualClerk, func(ctx context.Context, c *clerk) (func(), error) {
				return c.ask(ctx, 200*time.Millisecond, "EXPORT 30000")
			})
		},
	}
}

// clerkLoop: the loop is in the function that is on nearly every stack in good
// times.
func clerkLoop() Scenario {
	return Scenario{
		Name:   "clerk-loop",
		Title:  "a loop in the function that everything runs through",
		Server: "clerk", Language: C, Kind: Computation, Source: Own, Split: Tune,
		Normal: "requests of all sorts, each of which looks through 50 sessions",
		Fault:  "there are 4,000,000 sessions",
		// testbed/apps/clerk/answer.c: the loop is its own.
		Truth:    []string{"answer"},
		Patterns: []string{"long_computation"},
		Top:      1,
		Start: func(ctx context.Context) (Workload, error) {
			return startClerk(ctx, usualClerk, func(ctx context.Context, c *clerk) (func(), error) {
				return c.ask(ctx, time.Hour, "SESSIONS 4000000")
			})
		},
	}
}

// clerkWarm: a function that always used the processor calls another one much
// more often than before.
func clerkWarm() Scenario {
	return Scenario{
		Name:   "clerk-warm",
		Title:  "a caller that was hot before makes a callee hot, too",
		Server: "clerk", Language: C, Kind: Computation, Source: Own, Split: Tune,
		Normal: "requests of all sorts; one in six ranks articles, which takes most of the processor's time",
		Fault:  "twenty times a second somebody ranks a word that has to be compared with all articles, again and again",
		// testbed/apps/clerk/catalog.c: the loop; below it is distance.
		Truth:    []string{"catalog_rank"},
		Patterns: []string{"long_computation"},
		Top:      1,
		Start: func(ctx context.Context) (Workload, error) {
			return startClerk(ctx, usualClerk, func(ctx context.Context, c *clerk) (func(), error) {
				return c.ask(ctx, 50*time.Millisecond, "RANK artikel?")
			})
		},
	}
}

// clerkDepth: the loop is five levels above the function that takes the time.
func clerkDepth() Scenario {
	return Scenario{
		Name:   "clerk-depth",
		Title:  "a caller loops over a callee five levels down",
		Server: "clerk", Language: C, Kind: Computation, Source: Own, Split: Tune,
		Normal: "requests of all sorts; one in six asks for the price of an article",
		Fault:  "four times a second somebody has all prices computed, for 150 steps",
		// testbed/apps/clerk/catalog.c: the loop. price_of, discount,
		// add_freight, add_tax and round_cents are as quick as ever.
		Truth:    []string{"reprice_all"},
		Patterns: []string{"long_computation"},
		Top:      3,
		Start: func(ctx context.Context) (Workload, error) {
			return startClerk(ctx, usualClerk, func(ctx context.Context, c *clerk) (func(), error) {
				return c.ask(ctx, 250*time.Millisecond, "REPRICE 150")
			})
		},
	}
}
