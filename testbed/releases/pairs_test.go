package releases

import (
	"slices"
	"testing"
)

func TestEachPairSaysWhatIsToBeFound(t *testing.T) {
	names, kinds := []string{}, map[Kind]int{}
	for _, p := range Pairs() {
		if slices.Contains(names, p.Name) {
			t.Errorf("%s is there twice", p.Name)
		}
		names = append(names, p.Name)
		kinds[p.Kind]++
		if p.Changed() != (len(p.Truth) > 0) {
			t.Errorf("%s: %s with the truth %q", p.Name, p.Kind, p.Truth)
		}
		if p.Before == nil || p.After == nil || p.Load == nil {
			t.Errorf("%s cannot be run", p.Name)
		}
	}
	if n := kinds[Regression] + kinds[Fix]; n < 15 || kinds[Same] < 15 || kinds[Refactoring] < 5 {
		t.Errorf("%v", kinds)
	}
}
