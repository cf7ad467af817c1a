package runner

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/perfscope/perfscope/testbed/scenario"
)

// Verdict prints what a result is worth and reports whether the true function
// reached the place the scenario asks for.
func Verdict(sc scenario.Scenario, r Result) bool {
	truth := strings.Join(sc.Truth, ", ")
	top := cmp.Or(sc.Top, 5)
	if len(r.Before) > 0 {
		fmt.Printf("%d false alarms came before the fault.\n", len(r.Before))
	}
	innocent, hit := r.Strongest.Innocent(sc.Truth)
	switch {
	case len(r.After) == 0:
		fmt.Printf("FAILED  %s: no anomaly within %s of the fault; the true function is %s\n", sc.Name, cmp.Or(sc.Observe, scenario.DefaultObserve), truth)
	case innocent:
		fmt.Printf("FAILED  %s: %s is blamed and no function; the true one (%s) is said to be hit: %v\n", sc.Name, r.Strongest.Cause, truth, hit)
	case r.Rank == 0:
		fmt.Printf("FAILED  %s: the true function (%s) is not among the %d suspects\n", sc.Name, truth, len(r.Suspects))
	case r.Rank > top:
		fmt.Printf("FAILED  %s: %s is in place %d, not in the first %d\n", sc.Name, r.Suspects[r.Rank-1].Function, r.Rank, top)
	default:
		fmt.Printf("OK      %s: %s is in place %d of %d; the first anomaly came %.1f s after the fault (place %d in it)\n",
			sc.Name, r.Suspects[r.Rank-1].Function, r.Rank, len(r.Suspects), r.SecondsToFirst, r.FirstRank)
		return true
	}
	return false
}
