package explain

import (
	"strings"
	"testing"
)

// TestCauses has a golden sentence for each kind of cause.
func TestCauses(t *testing.T) {
	for _, c := range []struct {
		name   string
		causes []Cause
		hit    string
		want   string
	}{
		{"quota", []Cause{{Kind: "cpu_quota", Share: 1, Resource: "/pod1"}}, "", "shop: 50 % of its active time goes beyond its past: the CPU quota of /pod1 is used up; no function of it is to blame."},
		{"contention", []Cause{{Kind: "cpu_contention", Share: 1, Users: []string{"backup", "tar"}}}, "f", "shop: 50 % of its active time goes beyond its past: others have the CPUs it could run on (backup, tar); no function of it is to blame, f was hit."},
		{"steal", []Cause{{Kind: "cpu_contention", Share: 1, Resource: "hypervisor"}}, "", "shop: 50 % of its active time goes beyond its past: the hypervisor gives its CPU time to others; no function of it is to blame."},
		{"memory", []Cause{{Kind: "memory", Share: 1, Resource: "/pod1"}}, "", "shop: 50 % of its active time goes beyond its past: the memory of /pod1 is short; no function of it is to blame."},
		{"disk and code", []Cause{{Kind: "disk", Share: 0.7, Resource: "vda"}, {Kind: "code", Share: 0.3}}, "f", "shop: 50 % of its active time goes beyond its past: the disk vda takes longer; no function of it is to blame, f was hit."},
		{"disk and peer", []Cause{{Kind: "disk", Share: 0.7, Resource: "vda"}, {Kind: "peer", Share: 0.3, Resource: "127.0.0.1:80"}}, "", "shop: 50 % of its active time goes beyond its past: the disk vda takes longer, and for 30 % of it its peer 127.0.0.1:80 takes longer; no function of it is to blame."},
		{"code and network", []Cause{{Kind: "code", Share: 0.7}, {Kind: "network", Share: 0.3, Resource: "10.0.0.2"}}, "", "shop: 50 % of its active time goes beyond its past: f (shop) runs on CPU, and for 30 % of it the network to 10.0.0.2 takes longer."},
		{"stopped", []Cause{{Kind: "stopped", Share: 1}}, "", "shop: 50 % of its active time goes beyond its past: it is stopped, by a signal, a debugger or the freezer; no function of it is to blame."},
		{"unanswered", []Cause{{Kind: "unanswered", Share: 1, Resource: "80"}}, "", "shop: 50 % of its active time goes beyond its past: clients at port 80 wait for answers that nothing of it works on, as when a pool has run dry or a reply is forgotten; no function of it is seen at work."},
		{"unanswered, and the work that is not done", []Cause{{Kind: "unanswered", Share: 1, Resource: "80"}}, "", "shop: 50 % of its active time goes beyond its past: clients at port 80 wait for answers that nothing of it works on, as when a pool has run dry or a reply is forgotten; what it does no more is the work of f (shop) first of all."},
		{"peer, and the function that waits for it", []Cause{{Kind: "peer", Share: 0.7, Resource: "10.0.0.2:80"}, {Kind: "code", Share: 0.3}}, "", "shop: 50 % of its active time goes beyond its past: its peer 10.0.0.2:80, or the network to it, takes longer; f (shop) runs on CPU."},
		{"unknown", []Cause{{Kind: "unknown", Share: 1}}, "", "shop: 50 % of its active time goes beyond its past: f (shop) runs on CPU."},
	} {
		t.Run(c.name, func(t *testing.T) {
			say := Anomaly{Service: "shop", Share: 0.5, Doing: OnCPU, Causes: c.causes, Hit: c.hit}
			if !strings.Contains(c.want, "no function") {
				say.Function, say.Module = "f", "shop"
			}
			got := Sentence(&say)
			if got != c.want {
				t.Errorf("\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

func TestVictims(t *testing.T) {
	one := Victims("a: it lacks b.", []string{"c"})
	if want := "a: it lacks b; it hits others, too: c."; one != want {
		t.Errorf("%q, want %q", one, want)
	}
	if got, want := Victims(one, []string{"c", "d"}), "a: it lacks b; it hits others, too: c, d."; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := Victims(one, nil); got != "a: it lacks b." {
		t.Errorf("%q", got)
	}
}
