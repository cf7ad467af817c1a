package inference

import (
	"fmt"
	"slices"
)

// Rule is a part of the decision that can be left out, to measure what it is for.
type Rule string

// The rules.
const (
	// RuleRareCost waits until an excursion costs more than those of healthy services.
	RuleRareCost Rule = "rare-cost"
	// RuleOwnExcursions raises that cost for a service that often leaves its past.
	RuleOwnExcursions Rule = "own-excursions"
	// RuleHousekeeping does not tell in its first hops what a runtime computes by itself.
	RuleHousekeeping Rule = "housekeeping"
	// RuleUnfelt does not tell of threads that wait for descriptors or CPUs when nobody waits
	// for them.
	RuleUnfelt Rule = "unfelt"
	// RuleGoneAgain does not tell in its first hop what is over before that ends.
	RuleGoneAgain Rule = "gone-again"
	// RuleFreshApart leaves out threads without a past while the others are not hurt.
	RuleFreshApart Rule = "fresh-apart"
	// RuleParkedApart takes one thread parked at a new place for one without a past.
	RuleParkedApart Rule = "parked-apart"
	// RuleSettled leaves the hops in which a service got ready out of its past.
	RuleSettled Rule = "settled"
	// RuleNewestApart leaves the newest hop out of the past.
	RuleNewestApart Rule = "newest-apart"
	// RuleAhead judges a hop when half of it is over, too.
	RuleAhead Rule = "ahead"
	// RuleSlowApart holds slow requests against fast ones: without it all that is seen
	// of a service counts alike.
	RuleSlowApart Rule = "slow-apart"
	// RuleKindsByCalls tells kinds of requests without spans apart by their calls, too.
	RuleKindsByCalls Rule = "kinds-by-calls"
)

// Rules lists them.
func Rules() []Rule {
	return []Rule{RuleRareCost, RuleOwnExcursions, RuleHousekeeping, RuleUnfelt, RuleGoneAgain, RuleFreshApart, RuleParkedApart, RuleSettled, RuleNewestApart, RuleAhead, RuleSlowApart, RuleKindsByCalls}
}

func (c *Config) follows(r Rule) bool { return !slices.Contains(c.Without, r) }

func (c *Config) validateRules() error {
	for _, r := range c.Without {
		if !slices.Contains(Rules(), r) {
			return fmt.Errorf("without: there is no rule %q; there are %v", r, Rules())
		}
	}
	return nil
}
