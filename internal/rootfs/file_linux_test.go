package rootfs

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// fakeRoot is a proc file system of one process, 7, with a root of its own beside
// a directory of the host.
func fakeRoot(t *testing.T) (d *Door, root, host string) {
	t.Helper()
	proc := t.TempDir()
	root, host = filepath.Join(proc, "7", "root"), t.TempDir()
	for _, dir := range []string{root, filepath.Join(root, "tmp")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(host, "secret"), []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	return &Door{Proc: proc}, root, host
}

func TestNothingOutsideOfTheRootIsOpened(t *testing.T) {
	d, root, host := fakeRoot(t)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.Symlink(host, filepath.Join(root, "absolute")))
	must(os.Symlink("../../../../../../../../../.."+host, filepath.Join(root, "relative")))
	must(os.Symlink("/proc/self/root", filepath.Join(root, "magic")))
	must(unix.Mkfifo(filepath.Join(root, "fifo"), 0o600))
	must(os.Symlink("fifo", filepath.Join(root, "link-to-fifo")))
	must(os.WriteFile(filepath.Join(root, "tmp", "file"), []byte("content"), 0o600))
	must(os.Symlink("/tmp/file", filepath.Join(root, "inside")))
	for _, path := range []string{"/absolute/secret", "/relative/secret", "/../../../.." + host + "/secret", "/magic" + host + "/secret"} {
		if f, err := d.Open(7, path, 0); err == nil {
			_ = f.Close()
			t.Errorf("%s leads out of the root", path)
		}
		if _, err := d.Stat(7, path); err == nil {
			t.Errorf("%s is looked at", path)
		}
	}
	for _, path := range []string{"/fifo", "/link-to-fifo", "/tmp"} {
		if _, err := d.Open(7, path, 0); !errors.Is(err, ErrNotRegular) {
			t.Errorf("%s: got %v", path, err)
		}
	}
	f, err := d.Open(7, "/inside", 0)
	if err != nil {
		t.Fatal("a link within the root leads nowhere: ", err)
	}
	got := make([]byte, 16)
	if n, _ := f.ReadAt(got, 0); string(got[:n]) != "content" || f.Size != 7 || f.Held == 0 {
		t.Errorf("%q, %+v", got[:n], f.Info)
	}
	must(f.Close())
	if _, err := d.Open(7, "/inside", NoFollow); err == nil {
		t.Error("a link in the last place was followed")
	}
	if d.Stuck() != 0 {
		t.Errorf("%d steps hung", d.Stuck())
	}
}

func TestDevicesAreNotOpened(t *testing.T) {
	d, root, _ := fakeRoot(t)
	if err := unix.Mknod(filepath.Join(root, "zero"), unix.S_IFCHR|0o600, int(unix.Mkdev(1, 5))); err != nil { //nolint:gosec // a constant
		t.Skip(err)
	}
	if _, err := d.Open(7, "/zero", 0); !errors.Is(err, ErrNotRegular) {
		t.Errorf("got %v", err)
	}
}

func TestAMarkIsEmptyAndNew(t *testing.T) {
	d, root, host := fakeRoot(t)
	remove, err := d.Mark(7, "/tmp/.attach_pid7")
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(filepath.Join(root, "tmp", ".attach_pid7")); err != nil || info.Size() != 0 {
		t.Errorf("%v, %v", info, err)
	}
	if _, err := d.Mark(7, "/tmp/.attach_pid7"); !errors.Is(err, os.ErrExist) {
		t.Errorf("it was there, and got %v", err)
	}
	remove()
	if _, err := os.Stat(filepath.Join(root, "tmp", ".attach_pid7")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it is left behind: %v", err)
	}
	if err := errors.Join(os.Remove(filepath.Join(root, "tmp")), os.Symlink(host, filepath.Join(root, "tmp"))); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Mark(7, "/tmp/.attach_pid7"); err == nil {
		t.Error("it was made in the host's directory")
	}
}

func TestOnlyTheProcessItselfIsSpokenTo(t *testing.T) {
	d, root, _ := fakeRoot(t)
	l, err := net.Listen("unix", filepath.Join(root, "tmp", "socket"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	if _, err := d.Dial(context.Background(), 7, "/tmp/socket"); err == nil {
		t.Error("this process is taken for process 7")
	}
	if err := os.Rename(filepath.Join(d.Proc, "7"), filepath.Join(d.Proc, strconv.Itoa(os.Getpid()))); err != nil {
		t.Fatal(err)
	}
	c, err := d.Dial(context.Background(), int32(os.Getpid()), "/tmp/socket")
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
}

// TestARemoteFileSystemIsLeftAlone: a hang is the file system's, of all who have
// files there, and of nobody else.
func TestARemoteFileSystemIsLeftAlone(t *testing.T) {
	d := &Door{Proc: t.TempDir(), Timeout: 20 * time.Millisecond}
	nfs, disk := device{"0:45", true}, device{"254:1", false}
	let := make(chan struct{})
	defer close(let)
	hang := func(pid int32, on device) error {
		_, err := do(d, step{pid: pid, on: func() device { return on }}, func() (int, error) {
			<-let
			return 0, nil
		})
		return err
	}
	if err := errors.Join(hang(1, disk), hang(2, nfs)); !errors.Is(err, ErrStuck) {
		t.Fatal(err)
	}
	read := func(pid int32, on device) error {
		_, err := do(d, step{pid: pid, timeout: time.Minute, on: func() device { return on }}, func() (int, error) { return 1, nil })
		return err
	}
	if err := read(3, nfs); !errors.Is(err, ErrQuarantined) {
		t.Errorf("another process with a file there: %v", err)
	}
	if err := read(3, disk); err != nil {
		t.Errorf("on the host's own disk: %v", err)
	}
}

func TestDeviceAt(t *testing.T) {
	const table = "20 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw\n" +
		"31 20 0:45 / /mnt/data rw - fuse.sshfs host:/ rw\n" +
		"32 20 0:46 /x /mnt/data/deeper rw - nfs4 host:/ rw\n" +
		"damaged\n"
	for path, want := range map[string]device{
		"/etc/passwd": {"254:1", false}, "/mnt/data": {"0:45", true}, "/mnt/data/a": {"0:45", true},
		"/mnt/database": {"254:1", false}, "/mnt/data/deeper/b": {"0:46", true},
	} {
		if got := deviceAt([]byte(table), path, ""); got != want {
			t.Errorf("%s is on %+v, not %+v", path, got, want)
		}
	}
	if got := deviceAt([]byte(table), "", decimal("00:2d")); got != (device{"0:45", true}) {
		t.Errorf("by number: %+v", got)
	}
}

func FuzzMountInfo(f *testing.F) {
	f.Add([]byte("31 20 0:45 / /mnt/data rw - fuse.sshfs host:/ rw\n"), "/mnt/data/x")
	f.Fuzz(func(_ *testing.T, table []byte, path string) { deviceAt(table, path, "") })
}
