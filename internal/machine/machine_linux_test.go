package machine

import (
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// TestAPeerThatDoesNotAnswer asks the real kernel.
func TestAPeerThatDoesNotAnswer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	peer, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	buffer := make([]byte, 8)
	answer := func() {
		if _, err := c.Write([]byte("ask")); err != nil {
			t.Fatal(err)
		}
		if _, err := peer.Read(buffer); err != nil {
			t.Fatal(err)
		}
	}
	r := New("")
	self := []Service{{Key: "k", Processes: []int32{int32(os.Getpid())}}} //nolint:gosec // a pid
	waits := func(to int64) int64 {
		for _, reading := range r.Read(to-1e9, to, self)[0].Readings {
			if reading.Measure == threadtrace.MeasurePeerWait && reading.Resource == l.Addr().String() {
				return reading.Value
			}
		}
		return 0
	}
	answer()
	if _, err := peer.Write([]byte("answer")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(buffer); err != nil {
		t.Fatal(err)
	}
	if w := waits(1e15); w != 0 {
		t.Errorf("a peer that has answered is waited for %d ns", w)
	}
	time.Sleep(20 * time.Millisecond) // the kernel tells the order of data by the millisecond
	answer()
	if w := waits(1e15 + 1e9); w != 1e9 {
		t.Errorf("a peer that owes an answer is waited for %d ns of 1e9", w)
	}
}

// TestClientsOfAMoment: a client waits whose connection came after the owners of sockets were
// looked for, be it accepted or still in line.
func TestClientsOfAMoment(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	r := New("")
	self := []Service{{Key: "k", Processes: []int32{int32(os.Getpid())}}} //nolint:gosec // a pid
	now := int64(1e15)
	wait := func(want int64, state string) {
		t.Helper()
		now += 1e9 // too soon to look for owners again
		for _, reading := range r.Read(now-1e9, now, self)[0].Readings {
			if reading.Measure == threadtrace.MeasureClientWait {
				want -= reading.Value
			}
		}
		if want != 0 {
			t.Errorf("%s: %d ns more are due", state, want)
		}
	}
	wait(0, "nobody came")
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	wait(1e9, "in line to be accepted")
	served, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer served.Close()
	time.Sleep(20 * time.Millisecond) // the kernel tells the order of data by the millisecond
	if _, err := c.Write([]byte("ask")); err != nil {
		t.Fatal(err)
	}
	wait(1e9, "asked")
	time.Sleep(20 * time.Millisecond)
	if _, err := served.Write([]byte("answer")); err != nil {
		t.Fatal(err)
	}
	wait(0, "answered")
}

// BenchmarkRead is a read for one service on this host.
func BenchmarkRead(b *testing.B) {
	r := New("")
	self := []Service{{Key: "k", Processes: []int32{int32(os.Getpid())}}} //nolint:gosec // a pid
	for i := range b.N {
		r.Read(int64(i)*1e9, int64(i+1)*1e9, self)
	}
}

// message is what sock_diag tells of a socket.
func message(state byte, inode, queue uint32, local, remote string) []byte {
	b := make([]byte, diagMessageSize)
	put := func(port, address int, of string) {
		at := netip.MustParseAddrPort(of)
		binary.BigEndian.PutUint16(b[port:], at.Port())
		copy(b[address:], at.Addr().AsSlice())
	}
	b[0], b[1] = unix.AF_INET, state
	put(4, 8, local)
	put(6, 24, remote)
	binary.NativeEndian.PutUint32(b[56:], queue)
	binary.NativeEndian.PutUint32(b[68:], inode)
	return b
}

// TestTheSamePortInTwoNamespaces: a connection is of who listens in its own, a socket that
// processes share is one, and what a service does not have is not looked at.
func TestTheSamePortInTwoNamespaces(t *testing.T) {
	f := files{t, t.TempDir()}
	for process, namespace := range map[string]string{"self": "net:[1]", "10": "net:[1]", "20": "net:[2]", "30": "net:[3]"} {
		f.write("proc/"+process+"/ns/x", "")
		if err := os.Symlink(namespace, filepath.Join(f.root, "proc", process, "ns", "net")); err != nil {
			t.Fatal(err)
		}
	}
	r := New(filepath.Join(f.root, "proc"))
	r.sockets = func() []socket {
		return []socket{{inode: 1, local: netip.MustParseAddrPort("0.0.0.0:80"), listening: true}}
	}
	walks := 0
	r.See(func(take func(int32, uint32, uint32, []byte) bool) error {
		walks++
		for _, s := range []struct {
			process   int32
			namespace uint32
			message   []byte
		}{
			{20, 2, message(stateListen, 2, 3, "0.0.0.0:80", "0.0.0.0:0")},
			{21, 2, message(stateListen, 2, 3, "0.0.0.0:80", "0.0.0.0:0")}, // shared
			{30, 3, message(stateSynSent, 3, 0, "10.0.0.3:80", "10.0.0.9:5000")},
			{99, 3, message(stateListen, 4, 7, "0.0.0.0:80", "0.0.0.0:0")}, // nobody's
		} {
			if !take(s.process, s.namespace, unix.IPPROTO_TCP, s.message) {
				return nil
			}
		}
		return nil
	})
	services := []Service{{Key: "host", Processes: []int32{10}}, {Key: "pod", Processes: []int32{20, 21}}, {Key: "asks", Processes: []int32{30}}}
	r.Read(0, 1e9, services[:1])
	if walks != 0 {
		t.Error("other namespaces are looked into for a service that is in this one")
	}
	read := r.Read(1e9, 2e9, services)
	want := []map[threadtrace.Measure]int64{{}, {threadtrace.MeasureClientWait: 3e9}, {threadtrace.MeasurePeerWait: 1e9}}
	for i := range read {
		for _, reading := range read[i].Readings {
			switch reading.Measure {
			case threadtrace.MeasureClientWait, threadtrace.MeasurePeerWait, threadtrace.MeasureUnanswered:
				want[i][reading.Measure] -= reading.Value
			}
		}
		for m, missing := range want[i] {
			if missing != 0 {
				t.Errorf("%s: of measure %v %d are missing", services[i].Key, m, missing)
			}
		}
	}
}

func FuzzParseSockets(f *testing.F) {
	f.Add(diagRequest(2, 6, 1))
	f.Add(make([]byte, 400))
	f.Add(message(stateListen, 2, 3, "0.0.0.0:80", "0.0.0.0:0"))
	f.Fuzz(func(_ *testing.T, data []byte) {
		parseSockets(data, false, nil)
		parseSocket(data, false)
	})
}

// What the peer had already was not lost; a kernel that does not say so has shorter figures.
func TestWhatIsLostOfWhatIsSentAgain(t *testing.T) {
	info := unix.TCPInfo{Total_retrans: 5, Dsack_dups: 3}
	all := unsafe.Slice((*byte)(unsafe.Pointer(&info)), unsafe.Sizeof(info)) //nolint:gosec // plain numbers
	for name, tc := range map[string]struct {
		length uintptr
		want   uint32
	}{
		"all figures":     {unsafe.Sizeof(info), 2},
		"an older kernel": {unsafe.Offsetof(info.Dsack_dups), 5},
	} {
		var s socket
		s.describe(all[:tc.length])
		if got := s.lost(); got != tc.want {
			t.Errorf("%s: %d lost, want %d", name, got, tc.want)
		}
	}
}
