package process

import (
	"strings"
	"testing"
)

func TestNearest(t *testing.T) {
	proc := newFakeProc(t)
	proc.add(fakeProcess{pid: 10, parent: 1, exe: "/usr/bin/redis-check-rdb", comm: "redis-server", sockets: []int{7001}})
	proc.add(fakeProcess{pid: 11, parent: 1, exe: "/usr/sbin/nginx", cgroup: "0::/system.slice/nginx.service\n", sockets: []int{7002}})
	proc.add(fakeProcess{pid: 12, parent: 1, exe: "/usr/bin/python3.11", environ: []string{"OTEL_SERVICE_NAME=orders"}})
	proc.add(fakeProcess{pid: 13, parent: 2, comm: "kworker/nginx", flags: kernelThread})
	for name, tc := range map[string]struct {
		rule Rule
		want string
	}{
		"a typing error":             {Rule{Executable: "ngnix"}, `/usr/sbin/nginx (pid 11): its executable is "nginx"`},
		"a name inside another":      {Rule{Executable: "pytho"}, `/usr/bin/python3.11 (pid 12): its executable is "python3.11"`},
		"the name it was started by": {Rule{Executable: "redis-sever"}, `/usr/bin/redis-check-rdb (pid 10): its executable is "redis-server"`},
		"one of two fields":          {Rule{Executable: "nginx", Port: 80}, `/usr/sbin/nginx (pid 11): all holds but port`},
		"a unit":                     {Rule{SystemdUnit: "nginx2"}, `/usr/sbin/nginx (pid 11): its systemd_unit is "nginx"`},
		"a service name":             {Rule{OTelServiceName: "order"}, `/usr/bin/python3.11 (pid 12): its otel_service_name is "orders"`},
		"nothing is alike":           {Rule{Executable: "postgres"}, ""},
		"the kernel's are no target": {Rule{Executable: "kworker"}, ""},
		"two fields that do not":     {Rule{Executable: "postgres", Port: 5432}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := New(Config{Root: proc.root, Targets: []Rule{tc.rule}, Host: &Host{}, Self: 1})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := d.Scan(); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, n := range d.Nearest(0, 3) {
				got = append(got, n.String())
			}
			if strings.Join(got, "; ") != tc.want {
				t.Errorf("%v: got %q, want %q", tc.rule, got, tc.want)
			}
			if d.Nearest(1, 3) != nil || d.Nearest(-1, 3) != nil {
				t.Error("there is one rule only")
			}
		})
	}
}

func TestRuleIsToldAsItIsWritten(t *testing.T) {
	r := Rule{Executable: "nginx", Port: 80, ServiceName: "edge"}
	if got := r.String(); got != "executable: nginx, port: 80" {
		t.Error(got)
	}
}
