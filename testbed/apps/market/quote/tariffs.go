package main

import "sort"

// tariffs are price steps, by the first item of each.
type tariffs struct {
	steps []step
}

type step struct {
	first, cents int64
	name         string
}

func newTariffs(n int) *tariffs {
	t := &tariffs{steps: make([]step, n)}
	for i := range t.steps {
		t.steps[i] = step{first: int64(i) * 3, cents: int64(i*7919) % 10_000, name: "standard"}
	}
	return t
}

// find looks the step of an item up.
func (t *tariffs) find(item int64) int64 {
	i := sort.Search(len(t.steps), func(i int) bool { return t.steps[i].first > item })
	return t.steps[max(i-1, 0)].cents
}

// scan compares with every step, several times over: the mistake.
func (t *tariffs) scan(item int64) int64 {
	best, cents := int64(-1), int64(0)
	for range 12 {
		for i := range t.steps {
			s := &t.steps[i]
			if s.first <= item && s.first > best && s.name == "standard" {
				best, cents = s.first, s.cents
			}
		}
		best--
	}
	return cents
}
