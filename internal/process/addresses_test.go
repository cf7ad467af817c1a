package process

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

const fakeTrie = `Main:
  +-- 0.0.0.0/0 3 0 5
     +-- 10.1.2.0/24 2 0 2
        |-- 10.1.2.0
           /24 link UNICAST
Local:
  +-- 0.0.0.0/0 3 0 5
     |-- 10.1.2.3
        /32 host LOCAL
     |-- 10.1.2.255
        /32 link BROADCAST
     |-- 127.0.0.1
        /32 host LOCAL
`

const fakeInet6 = `fd000000000000000000000000000007 02 40 00 80     eth0
fe800000000000000000000000000001 02 40 20 80     eth0
00000000000000000000000000000001 01 80 10 80       lo
`

// TestSocketsInAnotherNetwork: clients of a container call an address of its own.
func TestSocketsInAnotherNetwork(t *testing.T) {
	proc := newFakeProc(t)
	proc.link("1/ns/net", "net:[4026531840]")
	proc.add(fakeProcess{pid: 10, parent: 1, exe: "/bin/db", sockets: []int{7001, 7002}, netns: 5})
	proc.add(fakeProcess{pid: 11, parent: 1, exe: "/bin/db", sockets: []int{7001, 7002}})
	for _, pid := range []string{"10", "11"} {
		proc.write(pid+"/net/fib_trie", fakeTrie)
		proc.write(pid+"/net/if_inet6", fakeInet6)
	}
	d, err := New(Config{Root: proc.root, Targets: []Rule{{Executable: "db"}}, Host: &Host{}, Self: 1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Scan(); err != nil {
		t.Fatal(err)
	}
	for pid, want := range map[int32]string{
		10: "[10.1.2.3:8080 127.0.0.1:6379 127.0.0.1:8080]",
		11: "[0.0.0.0:8080 127.0.0.1:6379]",
	} {
		if got := fmt.Sprint(d.Process(pid).Listening); got != want {
			t.Errorf("process %d: %s, want %s", pid, got, want)
		}
	}
}

func TestAddresses(t *testing.T) {
	proc := newFakeProc(t)
	proc.write("1/net/fib_trie", fakeTrie)
	proc.write("1/net/if_inet6", fakeInet6+"garbage\n")
	got := fmt.Sprint(newProcFS(proc.root).addresses(1))
	if got != "[10.1.2.3 fd00::7]" {
		t.Error(got)
	}
	if many := newProcFS(proc.root).addresses(2); len(many) != 0 {
		t.Error(many)
	}
	var trie strings.Builder
	for i := range 200 {
		fmt.Fprintf(&trie, "|-- 10.0.1.%d\n/32 host LOCAL\n", i)
	}
	proc.write("1/net/fib_trie", trie.String())
	if n := len(newProcFS(proc.root).addresses(1)); n != maxAddresses {
		t.Errorf("%d addresses", n)
	}
}

// TestHostFromInsideAContainer: it is the first process's that count.
func TestHostFromInsideAContainer(t *testing.T) {
	proc := newFakeProc(t)
	for _, kind := range []string{"mnt", "uts", "net"} {
		proc.link("1/ns/"+kind, kind+":[1]")
		proc.link("self/ns/"+kind, kind+":[2]")
	}
	proc.write("1/root/etc/machine-id", strings.Repeat("ab", 16)+"\n")
	proc.write("1/root/etc/hostname", "node-1\n")
	proc.write("1/net/fib_trie", fakeTrie)
	h := findHost(proc.root, HostOptions{})
	if h.Name != "node-1" || h.ID != strings.Repeat("ab", 16) || fmt.Sprint(h.Addresses) != "[10.1.2.3]" {
		t.Errorf("%+v", h)
	}
	h = findHost(proc.root, HostOptions{Name: "mine", ID: "id"})
	if h.Name != "mine" || h.ID != "id" {
		t.Errorf("%+v", h)
	}
	proc.write("mounted/etc/hostname", "node-2\n")
	if h = findHost(proc.root, HostOptions{Root: proc.root + "/mounted"}); h.Name != "node-2" {
		t.Errorf("%+v", h)
	}
}

func TestRulesByPod(t *testing.T) {
	proc := newFakeProc(t)
	container := func(c string) string {
		return "0::/kubepods.slice/kubepods-pod0e8ab85d_4ac8_4cb1_90b8_5cb1ec8e7a0f.slice/cri-containerd-" + strings.Repeat(c, 64) + ".scope\n"
	}
	proc.add(fakeProcess{pid: 10, parent: 1, exe: "/app", cgroup: container("a")})
	proc.add(fakeProcess{pid: 11, parent: 1, exe: "/app", cgroup: container("b")})
	proc.add(fakeProcess{pid: 12, parent: 1, exe: "/app"})
	pods := func(uid, id string) (Pod, bool) {
		if uid != "0e8ab85d-4ac8-4cb1-90b8-5cb1ec8e7a0f" {
			t.Errorf("asked for %q", uid)
		}
		p := Pod{Namespace: "shop", Name: "orders-x", Container: "app", Deployment: "orders", Labels: map[string]string{"tier": "back"}}
		if id[0] == 'b' {
			p.Container, p.Labels = "proxy", nil
		}
		return p, true
	}
	for name, tc := range map[string]struct {
		rule PodRule
		want []int32
	}{
		"namespace":           {PodRule{Namespace: "sh*"}, []int32{10, 11}},
		"container":           {PodRule{Namespace: "shop", Container: "app"}, []int32{10}},
		"deployment":          {PodRule{Deployment: "orders"}, []int32{10, 11}},
		"pod":                 {PodRule{Pod: "orders-?"}, []int32{10, 11}},
		"label":               {PodRule{Labels: map[string]string{"tier": "b*"}}, []int32{10}},
		"label of any value":  {PodRule{Labels: map[string]string{"tier": ""}}, []int32{10}},
		"another namespace":   {PodRule{Namespace: "kube-system"}, nil},
		"a label it lacks":    {PodRule{Labels: map[string]string{"app": "x"}}, nil},
		"one of several only": {PodRule{Namespace: "shop", Deployment: "payments"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := New(Config{Root: proc.root, Targets: []Rule{{Kubernetes: &tc.rule}}, Host: &Host{}, Self: 1, Pods: pods})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := d.Scan(); err != nil {
				t.Fatal(err)
			}
			var got []int32
			for _, p := range d.Processes() {
				got = append(got, p.PID)
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("got %v, want %v", got, tc.want)
			}
		})
	}
	if err := (Rule{Kubernetes: &PodRule{Pod: "["}}).Validate(); err == nil || !strings.Contains(err.Error(), "k8s_pod") {
		t.Error(err)
	}
	r := Rule{Kubernetes: &PodRule{Namespace: "shop", Labels: map[string]string{"b": "2", "a": "1"}}}
	if got := r.String(); got != "k8s_namespace: shop, k8s_labels: {a: 1, b: 2}" {
		t.Error(got)
	}
}
