//go:build linux && (amd64 || arm64)

package machine

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/perfscope/perfscope/internal/capture"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// podEnv makes the test binary a server and its client in a network namespace of their own,
// of TCP or, with "multipath", of multipath TCP.
const podEnv = "PERFSCOPE_POD"

// podPort is what all of them listen on.
const podPort = "127.0.0.1:7777"

func init() {
	if os.Getenv(podEnv) != "" {
		time.AfterFunc(2*time.Minute, func() { os.Exit(3) }) // whatever becomes of the test
		if err := beThePod(); err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
}

// loopbackUp lets a new network namespace talk to itself.
func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo)
}

// beThePod does what it is told, a word a line, and says so.
func beThePod() error {
	if err := loopbackUp(); err != nil {
		return err
	}
	var listen net.ListenConfig
	listen.SetMultipathTCP(os.Getenv(podEnv) == "multipath")
	l, err := listen.Listen(context.Background(), "tcp", podPort)
	if err != nil {
		return err
	}
	var clients, served []net.Conn
	buffer := make([]byte, 8)
	pass := func(from, to net.Conn) error {
		_, err := from.Write([]byte("word"))
		if err == nil {
			_, err = to.Read(buffer)
		}
		return err
	}
	fmt.Println("ready")
	for in := bufio.NewScanner(os.Stdin); in.Scan(); fmt.Println("done") {
		switch in.Text() {
		case "connect":
			var c net.Conn
			if c, err = net.Dial("tcp", podPort); err == nil {
				clients = append(clients, c)
			}
		case "accept":
			var c net.Conn
			if c, err = l.Accept(); err == nil {
				served = append(served, c)
			}
		case "ask":
			err = pass(clients[0], served[0])
		case "answer":
			err = pass(served[0], clients[0])
		case "connect 500 times":
			for range 500 {
				c, failed := net.Dial("tcp", podPort)
				if failed != nil {
					return failed
				}
				if served = append(served, c); err == nil {
					c, err = l.Accept()
					served = append(served, c)
				}
			}
		case "list":
			for _, s := range sockets() {
				fmt.Println(told(&s))
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// told is what is known of a socket, but for its namespace and how long ago things were.
func told(s *socket) string {
	out := *s
	out.process, out.namespace, out.sent, out.received, out.acked = 0, 0, 0, 0, 0
	out.local, out.remote = netip.AddrPort{}, netip.AddrPort{}
	return fmt.Sprintf("%d %d %d %v %v %+v", s.sent, s.received, s.acked, s.local, s.remote, out)
}

// pod is such a process.
type pod struct {
	t   testing.TB
	pid int32
	in  io.Writer
	out *bufio.Reader
}

func startPod(t testing.TB, protocol string) *pod {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), podEnv+"="+protocol)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); errors.Is(err, unix.EPERM) {
		t.Skip("no network namespaces without root")
	} else if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	p := &pod{t, int32(cmd.Process.Pid), in, bufio.NewReader(out)} //nolint:gosec // a pid
	p.hear("ready")
	return p
}

// hear returns the lines before the one that is expected.
func (p *pod) hear(last string) (lines []string) {
	p.t.Helper()
	for {
		line, err := p.out.ReadString('\n')
		line = strings.TrimSpace(line)
		switch {
		case err != nil || strings.HasPrefix(line, "error:"):
			p.t.Fatalf("the pod says %q: %v", line, err)
		case line == last:
			return lines
		}
		lines = append(lines, line)
	}
}

func (p *pod) does(words ...string) (lines []string) {
	p.t.Helper()
	for _, word := range words {
		if _, err := fmt.Fprintln(p.in, word); err != nil {
			p.t.Fatal(err)
		}
		lines = append(lines, p.hear("done")...)
		time.Sleep(20 * time.Millisecond) // the kernel tells the order of data by its ticks
	}
	return lines
}

// nobody handles what a tracer sees.
type nobody struct{ capture.Handler }

// follow has the kernel tell the sockets of pods.
func follow(t testing.TB, pods ...*pod) Elsewhere {
	t.Helper()
	deny := t.Skip
	if os.Getenv("CI") == "true" && !oldKernel() {
		deny = t.Fatal
	}
	tr, err := capture.New(capture.DefaultConfig(), nobody{}, nil)
	if err != nil {
		deny("no tracing here: ", err)
	}
	t.Cleanup(func() { _ = tr.Close() })
	for _, d := range tr.Degraded() {
		if strings.HasPrefix(d.Feature, "sockets") {
			deny("denied: ", d.Reason)
		}
	}
	for _, p := range pods {
		if err := tr.AddProcess(p.pid); err != nil {
			t.Fatal(err)
		}
	}
	return func(take func(int32, uint32, uint32, []byte) bool) error {
		return tr.Sockets(func(s capture.Socket) bool { return take(s.PID, s.Namespace, s.Protocol, s.Message) })
	}
}

// TestElsewhere asks the real kernel: two pods have the same port, and in one of them
// clients wait.
func TestElsewhere(t *testing.T) {
	for _, protocol := range []string{"tcp", "multipath"} {
		t.Run(protocol, func(t *testing.T) { elsewhere(t, protocol) })
	}
}

func elsewhere(t *testing.T, protocol string) {
	idle, busy := startPod(t, protocol), startPod(t, protocol)
	r := New("")
	r.See(follow(t, idle, busy))
	services := []Service{{Key: "idle", Processes: []int32{idle.pid}}, {Key: "busy", Processes: []int32{busy.pid}}}
	now := int64(1e15)
	const unknown = -1 // the tick in which a connection is made may pass for a question
	looks := func(r *Reader, state string, clients, peers int64) {
		t.Helper()
		now += 1e9
		read := r.Read(now-1e9, now, services)
		for i, want := range []map[threadtrace.Measure]int64{{}, {threadtrace.MeasureClientWait: clients, threadtrace.MeasurePeerWait: peers}} {
			got := map[threadtrace.Measure]int64{}
			for _, reading := range read[i].Readings {
				got[reading.Measure] += reading.Value
				if reading.Measure == threadtrace.MeasurePeerWait && reading.Value != 0 && reading.Resource != podPort {
					t.Errorf("%s: the peer is %s", state, reading.Resource)
				}
			}
			for _, m := range []threadtrace.Measure{threadtrace.MeasureClientWait, threadtrace.MeasurePeerWait} {
				if got[m] != want[m] && want[m] != unknown {
					t.Errorf("%s: %s: measure %v is %d, want %d", state, services[i].Key, m, got[m], want[m])
				}
			}
		}
	}
	looks(r, "nobody came", 0, 0)
	busy.does("connect")
	if protocol == "tcp" || !oldKernel() { // older ones do not tell the line of the latter
		looks(r, "in line to be accepted", 1e9, unknown)
	}
	busy.does("accept", "ask")
	looks(r, "asked", 1e9, 1e9)
	looks(New(""), "asked, and nobody looks elsewhere", 0, 0)
	busy.does("answer")
	looks(r, "answered", 0, 0)
}

// TestElsewhereAsHere: of the same socket the same is told as sock_diag does within its namespace.
func TestElsewhereAsHere(t *testing.T) {
	for _, protocol := range []string{"tcp", "multipath"} {
		t.Run(protocol, func(t *testing.T) {
			if protocol == "multipath" && oldKernel() {
				t.Skip("not told in full")
			}
			asHere(t, protocol)
		})
	}
}

// oldKernel reports whether the tests run on one of the matrix, not all of which have
// bpf_rdonly_cast (6.2).
func oldKernel() bool { return os.Getenv("PERFSCOPE_KERNEL_TEST") != "" }

func asHere(t *testing.T, protocol string) {
	p := startPod(t, protocol)
	r := New("")
	r.See(follow(t, p))
	p.does("connect", "connect", "accept", "ask", "answer", "ask")
	time.Sleep(300 * time.Millisecond) // until all is acknowledged
	type age [3]int
	listed := func(lines []string) map[string]age {
		out := map[string]age{}
		for _, line := range lines {
			words := strings.SplitN(line, " ", 4)
			var a age
			for i := range a {
				a[i], _ = strconv.Atoi(words[i])
			}
			out[words[3]] = a
		}
		return out
	}
	before := listed(p.does("list"))
	if len(before) == 0 && oldKernel() {
		t.Skip("this kernel has no sock_diag")
	}
	var lines []string
	for _, s := range r.abroad(map[int32]int{p.pid: 0}) {
		lines = append(lines, told(&s))
		if s.process != p.pid || s.namespace == 0 {
			t.Errorf("%+v", s)
		}
	}
	after := listed(p.does("list"))
	got := listed(lines)
	if len(got) != 4 { // one listens, two ask and one is asked; one is in line
		t.Errorf("%d sockets: %q", len(got), lines)
	}
	for s, earliest := range before {
		latest, still := after[s]
		at, is := got[s]
		if !still || !is {
			t.Errorf("%s is missing, or differs, in %q", s, lines)
			continue
		}
		for i := range at {
			if at[i] < earliest[i] || at[i] > latest[i] {
				t.Errorf("%s: %d ms ago, %d before and %d after", s, at[i], earliest[i], latest[i])
			}
		}
	}
	if !slices.ContainsFunc(lines, func(s string) bool { return strings.Contains(s, "queue:1") }) {
		t.Errorf("nobody is in line: %q", lines)
	}
}

// BenchmarkElsewhere is a look at the 1000 connections of a service in another network
// namespace, on this host.
func BenchmarkElsewhere(b *testing.B) {
	p := startPod(b, "tcp")
	r := New("")
	r.See(follow(b, p))
	p.does("connect 500 times")
	for b.Loop() {
		if all := r.abroad(map[int32]int{p.pid: 0}); len(all) != 1001 {
			b.Fatalf("%d sockets", len(all))
		}
	}
}
