//go:build linux

package install

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// debootstrapped is a small Debian in a folder, made once for all tests. Where it is
// ready, PERFSCOPE_DEBIAN names it.
var debootstrapped = sync.OnceValues(func() (string, error) {
	if ready := os.Getenv("PERFSCOPE_DEBIAN"); ready != "" {
		return ready, nil
	}
	root, err := os.MkdirTemp("/var/tmp", "perfscope-debootstrap-")
	if err != nil {
		return "", err
	}
	bootstrapped = root
	out, err := exec.Command("debootstrap", "--variant=minbase", "bookworm", root).CombinedOutput() //nolint:noctx // for all tests
	if err != nil {
		os.Stderr.Write(out)
	}
	return root, err
})

// bootstrapped is what debootstrapped made, if it did.
var bootstrapped string

func TestMain(m *testing.M) {
	code := m.Run()
	if bootstrapped != "" {
		_ = os.RemoveAll(bootstrapped)
	}
	os.Exit(code)
}

// debian is a copy of a small Debian that is removed with the test.
func debian(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: a Debian in a folder")
	}
	made, err := debootstrapped()
	if err != nil {
		t.Fatal(err)
	}
	root, err := os.MkdirTemp("/var/tmp", "perfscope-debian-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(root) })
	run(t, "cp", "-a", made+"/.", root)
	return root
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// in runs a command in the folder, with mounts and processes of its own.
func in(t *testing.T, root, command string) string {
	t.Helper()
	return run(t, "unshare", "--mount", "--pid", "--fork", "--mount-proc="+root+"/proc", "chroot", root, "/bin/sh", "-ec", command)
}

// onTheHost runs a command in the folder, with the processes and the kernel of the
// host and a network of its own.
func onTheHost(t *testing.T, root, command string) string {
	t.Helper()
	const enter = `mount --make-rprivate / && mount --rbind /proc "$1/proc" && mount --rbind /sys "$1/sys" && ip link set lo up && exec chroot "$1" /bin/sh -ec "$2"`
	return run(t, "unshare", "--mount", "--net", "--uts", "sh", "-ec", enter, "sh", root, command)
}

// pack makes a package of a version out of what `make packages` built.
func pack(t *testing.T, checkout, kind, from, version, into string) {
	t.Helper()
	dist := t.TempDir()
	for _, program := range []string{"otelcol-perfscope", "perfscope-doctor"} {
		source := filepath.Join(checkout, "dist", program+"_"+from+"_linux_amd64")
		if err := os.Link(source, filepath.Join(dist, program+"_"+version+"_linux_amd64")); err != nil {
			run(t, "cp", source, filepath.Join(dist, program+"_"+version+"_linux_amd64"))
		}
	}
	cmd := exec.CommandContext(t.Context(), filepath.Join(checkout, "bin", "nfpm"), "package",
		"-f", filepath.Join(checkout, "deploy", "packages", "nfpm.yaml"), "-p", kind, "-t", into)
	cmd.Dir = checkout
	cmd.Env = append(os.Environ(), "DIST="+dist, "VERSION="+version, "ARCH=amd64")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// built is the checkout and the version of the packages in its dist.
func built(t *testing.T) (checkout, now string) {
	t.Helper()
	checkout, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	now = strings.TrimPrefix(version(t, checkout), "v")
	if _, err := os.Stat(filepath.Join(checkout, "dist", "otelcol-perfscope_"+now+"_linux_amd64")); err != nil {
		t.Fatal("run `make packages` first")
	}
	return checkout, now
}

// must holds which files a folder has.
func must(t *testing.T, root, when string, want bool, paths ...string) {
	t.Helper()
	for _, path := range paths {
		if _, err := os.Lstat(filepath.Join(root, path)); (err == nil) != want {
			t.Errorf("%s: %s is there: %v, want %v", when, path, !want, want)
		}
	}
}

// What the packages install, and where they keep their state.
var (
	programs = []string{"usr/bin/otelcol-perfscope", "usr/bin/perfscope-doctor", "usr/lib/systemd/system/perfscope.service"}
	settings = []string{"etc/perfscope/agent.yaml", "etc/perfscope/gateway.yaml", "etc/perfscope/environment"}
	state    = []string{"var/lib/perfscope", "var/log/perfscope"}
)

// checkInstalled holds files, owners and modes, and that the programs work there.
func checkInstalled(t *testing.T, root, version string) {
	t.Helper()
	must(t, root, "installed", true, programs...)
	must(t, root, "installed", true, settings...)
	must(t, root, "installed", true, state...)
	want := "perfscope 750\nperfscope 750\nroot 600\nroot 644\n"
	if got := in(t, root, "stat -c '%U %a' /var/lib/perfscope /var/log/perfscope /etc/perfscope/environment /usr/lib/systemd/system/perfscope.service"); got != want {
		t.Errorf("owners and modes:\n%s", got)
	}
	if got := in(t, root, "getent passwd perfscope"); !strings.HasSuffix(got, ":/var/lib/perfscope:/usr/sbin/nologin\n") {
		t.Errorf("the account is %q", got)
	}
	if got := in(t, root, "otelcol-perfscope --version"); !strings.Contains(got, version) {
		t.Errorf("it says %q, not %s", got, version)
	}
	in(t, root, "otelcol-perfscope validate --config /etc/perfscope/agent.yaml; otelcol-perfscope validate --config /etc/perfscope/gateway.yaml")
}
