//go:build linux

package install

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestRPM: installed, upgraded and erased below a folder. The folder is a Debian, whose
// packages are no rpms: dependencies are not looked at, the scripts run in it.
func TestRPM(t *testing.T) {
	needAll(t)
	if _, err := exec.LookPath("rpm"); err != nil {
		t.Fatal("rpm is not installed: ./testbed/install-deps.sh install")
	}
	checkout, now := built(t)
	root := debian(t)
	packages := t.TempDir()
	pack(t, checkout, "rpm", now, now, packages)
	rpm := func(args ...string) string {
		t.Helper()
		if args[0] != "-q" {
			args = append(args, "--nodeps")
		}
		return run(t, "rpm", append([]string{"--root", root}, args...)...)
	}
	// The command of the page, with the folder in place of the machine.
	command := strings.TrimSpace(documented(t, "host.md", "rpm"))
	words := strings.Fields(command[strings.LastIndexByte(command, '\n')+1:])
	if len(words) != 4 || words[0] != "sudo" || words[1] != "rpm" {
		t.Fatalf("the page has %q", words)
	}
	rpm(words[2], filepath.Join(packages, words[3]))
	checkInstalled(t, root, now)
	if got := rpm("-q", "--qf", "%{VERSION} %{LICENSE} %{ARCH}\n", "perfscope"); got != now+" Apache-2.0 x86_64\n" {
		t.Errorf("it is %q", got)
	}
	if got := rpm("-V", "--nouser", "--nogroup", "perfscope"); got != "" {
		t.Errorf("files are not as the package has them:\n%s", got)
	}
	for _, file := range settings {
		if got := rpm("-q", "--configfiles", "perfscope"); !strings.Contains(got, "/"+file+"\n") {
			t.Errorf("/%s is no configuration file of it:\n%s", file, got)
		}
	}

	in(t, root, "echo '# changed' >> /etc/perfscope/agent.yaml; echo kept > /var/lib/perfscope/signatures")
	pack(t, checkout, "rpm", now, now+"+next", packages)
	next, err := filepath.Glob(filepath.Join(packages, "*next*.rpm"))
	if err != nil || len(next) != 1 {
		t.Fatalf("%v %v", next, err)
	}
	rpm("-U", next[0])
	if got := rpm("-q", "--qf", "%{VERSION}\n", "perfscope"); got != now+"+next\n" {
		t.Errorf("after the upgrade it is %q", got)
	}
	if got := in(t, root, "tail -1 /etc/perfscope/agent.yaml"); got != "# changed\n" {
		t.Errorf("the upgrade has replaced a changed file: it ends with %q", got)
	}
	must(t, root, "upgraded", true, append(append(programs, settings...), "var/lib/perfscope/signatures")...)

	rpm("-e", "perfscope")
	must(t, root, "erased", false, programs...)
	must(t, root, "erased", false, "etc/perfscope/agent.yaml", "etc/perfscope/gateway.yaml")
	must(t, root, "erased", true, "etc/perfscope/agent.yaml.rpmsave", "var/lib/perfscope/signatures")
	if _, err := os.Stat(filepath.Join(root, "etc/perfscope/agent.yaml.rpmsave")); err == nil {
		if got := in(t, root, "getent passwd perfscope >/dev/null && echo kept"); got != "kept\n" {
			t.Errorf("the account owns what is left, and is gone: %q", got)
		}
	}
}
