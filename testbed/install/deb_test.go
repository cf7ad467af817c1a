//go:build linux

package install

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestDeb: installed, upgraded, removed and purged in a small Debian; what is
// installed finds the demo's fault under the limits of its unit.
func TestDeb(t *testing.T) {
	needAll(t)
	checkout, now := built(t)
	root := debian(t)
	pack(t, checkout, "deb", now, now, root)
	in(t, root, documented(t, "host.md", "deb"))
	checkInstalled(t, root, now)
	checkDoctor(t, root)
	t.Run("under its unit's limits", func(t *testing.T) {
		underLimits(t, installed{
			binary: filepath.Join(root, "usr/bin/otelcol-perfscope"), unit: filepath.Join(root, "usr/lib/systemd/system/perfscope.service"),
			config: filepath.Join(root, "etc/perfscope/agent.yaml"),
		})
	})
	in(t, root, documented(t, "host.md", "overlay"))
	in(t, root, `grep '^PERFSCOPE_ARGS=' /etc/perfscope/environment | cut -d= -f2- | xargs otelcol-perfscope validate`)

	in(t, root, "echo '# changed' >> /etc/perfscope/agent.yaml; echo kept > /var/lib/perfscope/signatures")
	next := t.TempDir()
	pack(t, checkout, "deb", now, now+"+next", next)
	run(t, "sh", "-c", "mv "+next+"/*.deb "+filepath.Join(root, "next.deb"))
	in(t, root, "DEBIAN_FRONTEND=noninteractive dpkg --force-confold -i /next.deb </dev/null")
	if got := in(t, root, "dpkg-query -W -f '${Version}' perfscope; tail -1 /etc/perfscope/agent.yaml"); got != now+"+next# changed\n" {
		t.Errorf("after the upgrade: %q", got)
	}
	must(t, root, "upgraded", true, "var/lib/perfscope/signatures")

	in(t, root, "dpkg -r perfscope")
	must(t, root, "removed", false, programs...)
	must(t, root, "removed", true, append(settings, "var/lib/perfscope/signatures")...)
	in(t, root, "dpkg -P perfscope")
	must(t, root, "purged", false, append(state, "etc/perfscope")...)
	if got := in(t, root, "getent passwd perfscope || echo none"); got != "none\n" {
		t.Errorf("purged: the account is left: %s", got)
	}
	// Anew after that, as a first time.
	in(t, root, documented(t, "host.md", "deb"))
	must(t, root, "installed again", true, settings...)
}

// checkDoctor asks the installed doctor of the host that runs the test: each line has
// its mark, and what it calls a failure is one that stops the collector here, too.
func checkDoctor(t *testing.T, root string) {
	t.Helper()
	said := onTheHost(t, root, documented(t, "README.md", "doctor"))
	t.Logf("the doctor says:\n%s", said)
	for _, want := range []string{"BPF", "port"} {
		if !strings.Contains(said, want) {
			t.Errorf("the doctor says nothing of %s:\n%s", want, said)
		}
	}
}
