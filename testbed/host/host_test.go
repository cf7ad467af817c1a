package host

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestHostsAreToldApart: by name, machine id and address; they reach each other.
func TestHostsAreToldApart(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("network namespaces need root")
	}
	n, err := Up("one", "two")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	defer func() {
		if err := n.Down(); err != nil {
			t.Error(err)
		}
	}()
	beside, err := Up("one")
	if err != nil {
		t.Fatal(err)
	}
	if beside.IP == n.IP || beside.Hosts["one"].IP == n.Hosts["one"].IP {
		t.Errorf("two networks have the addresses of %s", n.IP)
	}
	if err := beside.Down(); err != nil {
		t.Error(err)
	}
	ids := map[string]bool{}
	for name, h := range n.Hosts {
		path, args := h.Command("sh", []string{"-c", "uname -n; id -un; cat /etc/machine-id; ip -4 -br addr show eth0"}, "nobody")
		out, err := exec.Command(path, args...).CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v: %s", name, err, out)
		}
		lines := strings.Split(string(out), "\n")
		if lines[0] != name || lines[1] != "nobody" || !strings.Contains(lines[3], h.IP) {
			t.Errorf("%s says %q", name, lines)
		}
		ids[lines[2]] = true
	}
	if len(ids) != 2 {
		t.Errorf("machine ids: %v", ids)
	}
	addr, err := n.Hosts["two"].Addr(5000)
	if err != nil || addr != n.Hosts["two"].IP+":5000" {
		t.Errorf("address %s, %v", addr, err)
	}
	if name, _ := os.Hostname(); name == "one" || name == "two" {
		t.Errorf("the machine itself is called %s now", name)
	}
	path, args := (*Host)(nil).Command("true", nil, "")
	if path != "true" || args != nil {
		t.Error("the machine itself needs no way in")
	}
}
