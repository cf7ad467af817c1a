package process

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// fakeProc is a proc file system on disk, built by the test.
type fakeProc struct {
	t    *testing.T
	root string
}

// fakeProcess is what one process of it shows.
type fakeProcess struct {
	pid, parent int
	comm        string
	state       string
	flags       uint64
	ticks       uint64
	exe         string
	cmdline     []string
	cgroup      string
	environ     []string
	sockets     []int // inodes
	netns       int
}

func newFakeProc(t *testing.T) *fakeProc {
	p := &fakeProc{t: t, root: t.TempDir()}
	p.write("stat", "cpu 1 2 3\nbtime 1700000000\nprocesses 5\n")
	p.write("sys/kernel/random/boot_id", "0e8ab85d-4ac8-4cb1-90b8-5cb1ec8e7a0f\n")
	p.write("self/stat", "not a process")
	return p
}

func (p *fakeProc) write(name, content string) {
	p.t.Helper()
	path := filepath.Join(p.root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		p.t.Fatal(err)
	}
}

func (p *fakeProc) link(name, target string) {
	p.t.Helper()
	path := filepath.Join(p.root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		p.t.Fatal(err)
	}
	_ = os.Remove(path)
	if err := os.Symlink(target, path); err != nil {
		p.t.Fatal(err)
	}
}

func (p *fakeProc) add(f fakeProcess) {
	p.t.Helper()
	dir := strconv.Itoa(f.pid) + "/"
	if f.state == "" {
		f.state = "S"
	}
	if f.ticks == 0 {
		f.ticks = uint64(f.pid) * 10
	}
	if f.comm == "" {
		f.comm = filepath.Base(f.exe)
	}
	p.write(dir+"stat", fmt.Sprintf("%d (%s) %s %d 1 1 0 -1 %d 1 2 3 4 5 6 7 8 20 0 3 0 %d 1000 10 18446744073709551615\n",
		f.pid, f.comm, f.state, f.parent, f.flags, f.ticks))
	if f.exe != "" {
		p.link(dir+"exe", f.exe)
	}
	if f.cmdline == nil {
		f.cmdline = []string{f.exe}
	}
	p.write(dir+"cmdline", strings.Join(f.cmdline, "\x00")+"\x00")
	if f.cgroup == "" {
		f.cgroup = "0::/\n"
	}
	p.write(dir+"cgroup", f.cgroup)
	p.write(dir+"environ", strings.Join(f.environ, "\x00")+"\x00")
	if f.netns == 0 {
		f.netns = 4026531840
	}
	p.link(dir+"ns/net", fmt.Sprintf("net:[%d]", f.netns))
	p.link(dir+"fd/0", "/dev/null")
	for i, inode := range f.sockets {
		p.link(fmt.Sprintf("%sfd/%d", dir, i+3), fmt.Sprintf("socket:[%d]", inode))
	}
	p.write(dir+"net/tcp", fakeTCP)
	p.write(fmt.Sprintf("%stask/%d/comm", dir, f.pid), f.comm+"\n")
}

func (p *fakeProc) remove(pid int) {
	p.t.Helper()
	if err := os.RemoveAll(filepath.Join(p.root, strconv.Itoa(pid))); err != nil {
		p.t.Fatal(err)
	}
}

// fakeTCP listens on 6379 (inode 7001) and 8080 (7002), and has one
// established connection from port 6379 (7003).
const fakeTCP = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:18EB 00000000:0000 0A 00000000:00000000 00:00000000 00000000   100        0 7001 1 0000000000000000 100 0 0 10 0
   1: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 7002 1 0000000000000000 100 0 0 10 0
   2: 0100007F:18EB 0100007F:C350 01 00000000:00000000 00:00000000 00000000   100        0 7003 1 0000000000000000 20 4 30 10 -1
`
