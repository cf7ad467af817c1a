package tail

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/perfscope/perfscope/internal/cluster"
)

const (
	openat, pread, sendto, connect = 257, 17, 44, 42
)

func unitsOf(role string, n int, calls ...int32) []Request {
	list := make([]Request, n)
	slices.Sort(calls)
	for i := range list {
		list[i] = Request{Kind: role, Unit: true, Start: 1, End: 2, Calls: new(appearances).of(calls)}
	}
	return list
}

// What a role does is told apart where its units make different calls, often enough.
func TestVariants(t *testing.T) {
	for _, tc := range []struct {
		name  string
		units []Request
		want  []Variant // of the first and of the last unit
	}{
		{"alike", unitsOf("serve", 200, sendto), nil},
		{"one more call of many", slices.Concat(unitsOf("serve", 100, sendto, openat, pread), unitsOf("serve", 100, sendto, openat, pread, connect)), nil},
		{"hardly ever", slices.Concat(unitsOf("serve", 1000, sendto), unitsOf("serve", 10, sendto, openat, pread)), nil},
		{
			"two kinds", slices.Concat(unitsOf("serve", 100, sendto), unitsOf("serve", 40, sendto, openat, pread)),
			[]Variant{{Role: "serve", Without: []int32{pread, openat}}, {Role: "serve", With: []int32{pread, openat}}},
		},
		{
			"each its own", slices.Concat(unitsOf("serve", 100, connect), unitsOf("serve", 40, openat, pread)),
			[]Variant{
				{Role: "serve", With: []int32{connect}, Without: []int32{pread, openat}},
				{Role: "serve", With: []int32{pread, openat}, Without: []int32{connect}},
			},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			v := variants{}
			v.take(tc.units, 10, 1)
			for i, r := range []Request{tc.units[0], tc.units[len(tc.units)-1]} {
				_, of := r.variant()
				if (of != nil) != (tc.want != nil) || of != nil && fmt.Sprint(*of) != fmt.Sprint(tc.want[i]) {
					t.Errorf("%d: %+v", i, of)
				}
			}
		})
	}
}

// What is known of roles is bounded, and is forgotten.
func TestVariantsAreBounded(t *testing.T) {
	v := variants{}
	var units []Request
	for i := range int32(2 * maxAppearances) {
		units = append(units, unitsOf("serve", 1, i, i+1000)...)
		units = append(units, unitsOf(fmt.Sprint("role ", i), 1, sendto)...)
	}
	v.take(units, 10, 1)
	if len(v) > maxKinds || len(v["serve"].known) > maxAppearances {
		t.Errorf("%d roles, %d sets of calls", len(v), len(v["serve"].known))
	}
	if v.take(nil, 10, 0.01); len(v) != 0 {
		t.Errorf("%d roles after a long time", len(v))
	}
	var k work
	for i := range int32(100) {
		k.makes(100 - i)
	}
	if len(k.calls) != maxCalls || !slices.IsSorted(k.calls) {
		t.Errorf("calls %v", k.calls)
	}
	if got := unpack(new(appearances).of(k.calls)); !slices.Equal(got, k.calls) {
		t.Errorf("packed and unpacked: %v", got)
	}
}

// plainVariants are those of a role's units, by the cluster of each of their sets of calls, found in the plain way.
func plainVariants(tracker *cluster.Tracker, units map[string]float64) map[string]Variant {
	sets := slices.Sorted(maps.Keys(units))
	vectors := make([]cluster.Vector, len(sets))
	for i, set := range sets {
		vectors[i] = cluster.Vector{Appearance: set, Weight: units[set]}
	}
	ids, sums, all := tracker.Assign(vectors), map[int]float64{}, 0.0
	for i, set := range sets {
		sums[ids[i]], all = sums[ids[i]]+units[set], all+units[set]
	}
	most := func(id int, call int32) bool { // of its units make the call
		n := 0.0
		for i, set := range sets {
			if ids[i] == id && slices.Contains(unpack(set), call) {
				n += units[set]
			}
		}
		return 2*n > sums[id]
	}
	heavy := slices.SortedFunc(maps.Keys(sums), func(a, b int) int { return cmp.Or(cmp.Compare(sums[b], sums[a]), cmp.Compare(a, b)) })
	heavy = slices.DeleteFunc(heavy, func(id int) bool { return sums[id] < max(fewUnits, leastVariant*all) })
	heavy = heavy[:min(maxVariants, len(heavy))]
	found := map[string]Variant{}
	for i, set := range sets {
		if len(heavy) < 2 || !slices.Contains(heavy, ids[i]) {
			continue
		}
		of := Variant{Role: "serve"}
		for call := range int32(20) {
			others := 0
			for _, id := range heavy {
				if id != ids[i] && most(id, call) {
					others++
				}
			}
			switch here := most(ids[i], call); {
			case here && others == 0:
				of.With = append(of.With, call)
			case !here && others == len(heavy)-1:
				of.Without = append(of.Without, call)
			}
		}
		found[set] = of
	}
	return found
}

// What is kept from one hop to the next does not change which variants there are.
func TestVariantsAreThoseOfThePlainWay(t *testing.T) {
	found := 0
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 9))
		v, units, tracker := variants{}, map[string]float64{}, cluster.Tracker{}
		for range 25 {
			var pending []Request
			for range 3 {
				var calls []int32
				for range 1 + rng.IntN(6) {
					calls = append(calls, int32(rng.IntN(3)+rng.IntN(3)*6))
				}
				slices.Sort(calls)
				pending = append(pending, unitsOf("serve", rng.IntN(60), slices.Compact(calls)...)...)
			}
			by := 0.3 + 0.7*rng.Float64()
			v.take(pending, 10, by)
			for set := range units {
				if units[set] *= by; units[set] < 0.1 {
					delete(units, set)
				}
			}
			for i := range pending {
				units[pending[i].Calls]++
			}
			want := plainVariants(&tracker, units)
			for i := range pending {
				_, of := pending[i].variant()
				if known, ok := want[pending[i].Calls]; ok != (of != nil) || ok && fmt.Sprint(*of) != fmt.Sprint(known) {
					t.Fatalf("%v: %+v, want %v %+v", unpack(pending[i].Calls), of, ok, known)
				}
			}
			found += len(want)
		}
	}
	if found < 500 {
		t.Errorf("%d sets have a variant: too few to tell", found)
	}
}
