package life

import (
	"reflect"
	"slices"
	"testing"
	"time"
)

func TestAPlanFollowsFromItsSeed(t *testing.T) {
	const length = 40 * time.Minute
	one := Plan(7, Fleet(7, 66), length)
	if !reflect.DeepEqual(one, Plan(7, Fleet(7, 66), length)) {
		t.Error("the same seed gives two plans")
	}
	if reflect.DeepEqual(one, Plan(8, Fleet(7, 66), length)) {
		t.Error("two seeds give one plan")
	}
}

func TestPlansAreBounded(t *testing.T) {
	const length = 75 * time.Minute
	for seed := range uint64(8) {
		members := Fleet(seed, 66)
		plan := Plan(seed, members, length)
		if n := len(plan); n < 300 || n > 1000 {
			t.Errorf("seed %d: %d happenings", seed, n)
		}
		seen := map[Kind]bool{}
		busy := map[string]time.Duration{}
		var machine, before time.Duration
		for _, h := range plan {
			seen[h.Kind] = true
			if h.At < before || h.At < Quiet || h.For <= 0 || h.For > 5*time.Minute || h.End() > length-tail {
				t.Fatalf("seed %d: out of its time: %+v", seed, h)
			}
			before = h.At
			if h.Factor < 0 || h.Factor > maxFactor || h.Kind == CPU && h.Factor > 2 || h.Kind == Memory && h.Factor > maxMemory {
				t.Fatalf("seed %d: too much: %+v", seed, h)
			}
			if h.OfMachine() {
				if h.At < machine || h.For > 40*time.Second {
					t.Fatalf("seed %d: neighbours meet or stay: %+v", seed, h)
				}
				machine = h.End()
				continue
			}
			for _, m := range members {
				if m.Name != h.Instance && (h.Kind != Rolling || m.Scenario.Server != h.Instance) {
					continue
				}
				if !slices.Contains(m.Kinds, h.Kind) {
					t.Fatalf("seed %d: %s does not happen to %s", seed, h.Kind, m.Name)
				}
				if h.At < busy[m.Name] {
					t.Fatalf("seed %d: two at once happen to %s: %+v", seed, m.Name, h)
				}
				busy[m.Name] = h.End()
			}
		}
		for _, s := range slices.Concat(ofInstances, ofMachine) {
			if !seen[s.kind] && s.kind != Rolling {
				t.Errorf("seed %d: %s never happens", seed, s.kind)
			}
		}
	}
}

func TestSteps(t *testing.T) {
	members, err := OneOfEach([]string{"redis", "nginx"})
	if err != nil {
		t.Fatal(err)
	}
	length := 12 * time.Minute
	plan := Steps(1, members, 45*time.Second, length)
	if len(plan) < 20 {
		t.Errorf("%d steps", len(plan))
	}
	for _, h := range plan {
		if h.Kind != LoadStep || h.At < 45*time.Second || h.End() > length || h.Factor < 0.5 || h.Factor > 1.5 {
			t.Errorf("%+v", h)
		}
	}
	if _, err := OneOfEach([]string{"nobody"}); err == nil {
		t.Error("a server that is none is chosen")
	}
}

func TestFleet(t *testing.T) {
	all := map[string]bool{}
	for _, sc := range everything() {
		all[sc.Server] = true
	}
	for seed := range uint64(8) {
		members := Fleet(seed, 66)
		names, servers := map[string]bool{}, map[string]int{}
		for _, m := range members {
			names[m.Name] = true
			servers[m.Scenario.Server]++
			if r := m.rate(2000); r < minRate || r > maxRate {
				t.Errorf("seed %d: %s gets %.1f requests per second", seed, m.Name, r)
			}
		}
		if len(members) != 66 || len(names) != 66 || len(servers) != min(66, len(all)) || len(all) < 30 {
			t.Errorf("seed %d: %d members, %d names, %d of %d servers", seed, len(members), len(names), len(servers), len(all))
		}
		for server, n := range servers {
			if s, ok := shares[server]; ok && n > s.most {
				t.Errorf("seed %d: %d times %s", seed, n, server)
			}
		}
	}
	for server := range kinds {
		if !all[server] {
			t.Errorf("no scenario starts %s, which has operations", server)
		}
	}
}
