package tail

import (
	"fmt"
	"slices"
	"testing"
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
				_, of, ok := v.variant(&r)
				if ok != (tc.want != nil) || ok && fmt.Sprint(of) != fmt.Sprint(tc.want[i]) {
					t.Errorf("%d: %v %+v", i, ok, of)
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
	if len(v) > maxKinds || len(v["serve"].units) > maxAppearances {
		t.Errorf("%d roles, %d sets of calls", len(v), len(v["serve"].units))
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
