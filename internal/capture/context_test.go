//go:build linux && (amd64 || arm64)

package capture

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// receive is a helper: it takes what comes from descriptor 3 by the call named,
// and answers each with a byte.
func receive(how string) {
	runtime.LockOSThread()
	const from, limit = 3, 4096
	buf := make([]byte, limit)
	iov := unix.Iovec{Base: &buf[0]}
	iov.SetLen(limit)
	msg := unix.Msghdr{Iov: &iov}
	msg.SetIovlen(1)
	fmt.Println(unix.Gettid())
	for {
		var n uintptr
		var errno unix.Errno
		switch how {
		case "read":
			n, _, errno = unix.Syscall(unix.SYS_READ, from, uintptr(unsafe.Pointer(&buf[0])), limit)
		case "readv":
			n, _, errno = unix.Syscall(unix.SYS_READV, from, uintptr(unsafe.Pointer(&iov)), 1)
		case "recvfrom":
			n, _, errno = unix.Syscall6(unix.SYS_RECVFROM, from, uintptr(unsafe.Pointer(&buf[0])), limit, 0, 0, 0)
		case "recvmsg":
			n, _, errno = unix.Syscall(unix.SYS_RECVMSG, from, uintptr(unsafe.Pointer(&msg)), 0)
		}
		if errno != 0 || n == 0 {
			return
		}
		if _, err := unix.Write(from, []byte{1}); err != nil {
			return
		}
	}
}

// serve is a helper: a web server on a socket of the file system, which needs no
// network.
func serve(path string) {
	l, err := net.Listen("unix", path)
	if err != nil {
		panic(err)
	}
	go func() {
		server := http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = fmt.Fprint(w, r.Header.Get("traceparent"))
		})}
		_ = server.Serve(l)
	}()
	fmt.Println("listening")
}

// contextConfig looks for trace contexts and nothing else.
func contextConfig() Config {
	cfg := testConfig()
	cfg.StackEvery, cfg.TraceContext = 0, true
	return cfg
}

// TestTraceContextOfAServer lets a real client call a real server.
func TestTraceContextOfAServer(t *testing.T) {
	tr, r := startTracer(t, contextConfig())
	needs(t, tr, "trace context")
	path := filepath.Join(t.TempDir(), "http.sock")
	h := startHelper(t, "serve "+path)
	must(t, tr.AddProcess(h.pid()))
	h.say()
	h.hear()
	var dialer net.Dialer
	client := http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dialer.DialContext(ctx, "unix", path) },
	}}
	defer client.CloseIdleConnections()
	begun := time.Now().UnixNano()
	var want []Context
	for i := range byte(5) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://server/path", strings.NewReader("a body"))
		must(t, err)
		c := Context{TraceID: [16]byte{1, 15: i}, ParentID: [8]byte{2, 7: i}}
		if i != 3 { // one without
			req.Header.Set("Traceparent", traceparent(c))
			want = append(want, c)
		}
		res, err := client.Do(req)
		must(t, err)
		must(t, res.Body.Close())
	}
	must(t, tr.Poll())
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.contexts) != len(want) {
		t.Fatalf("%d contexts, want %d: %+v", len(r.contexts), len(want), r.contexts)
	}
	for i, c := range r.contexts {
		if c.TraceID != want[i].TraceID || c.ParentID != want[i].ParentID || c.PID != h.pid() || c.TID == 0 {
			t.Errorf("%+v, want %+v", c, want[i])
		}
		if c.Time < begun || c.Time > time.Now().UnixNano() {
			t.Errorf("received at %v", time.Unix(0, c.Time))
		}
		if !slices.ContainsFunc(r.calls, func(k Call) bool {
			return k.TID == c.TID && k.Number == unix.SYS_READ && k.Start <= c.Time && c.Time <= k.Start+int64(k.Duration)+int64(time.Millisecond)
		}) {
			t.Error("no call received it")
		}
	}
	if n := tr.Stats().Contexts; n != uint64(len(want)) {
		t.Errorf("%d counted", n)
	}
}

// TestTraceContextIsOptional: by default nothing of it is loaded.
func TestTraceContextIsOptional(t *testing.T) {
	tr, r := startTracer(t, testConfig())
	if tr.obj.coll.Maps[captureMapPayloads] != nil || tr.contexts != nil {
		t.Error("there are maps for it")
	}
	if text := tr.obj.sysExit.String(); strings.Contains(text, captureProgSysExitContext) {
		t.Errorf("the program is %s", text)
	}
	send(t, tr, "read", []string{httpRequest("Traceparent: " + traceparent(Context{TraceID: [16]byte{1}, ParentID: [8]byte{1}}))})
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.contexts) != 0 {
		t.Errorf("%+v", r.contexts)
	}
}

// TestTraceContextCalls holds each of the calls that receive to be looked at,
// and nothing that is no socket.
func TestTraceContextCalls(t *testing.T) {
	want := Context{TraceID: [16]byte{1, 2, 3}, ParentID: [8]byte{4, 5}}
	text := httpRequest("Traceparent: " + traceparent(want))
	for _, how := range []string{"read", "readv", "recvfrom", "recvmsg"} {
		t.Run(how, func(t *testing.T) {
			tr, r := startTracer(t, contextConfig())
			needs(t, tr, "trace context")
			tid := send(t, tr, how, []string{text})
			r.mu.Lock()
			defer r.mu.Unlock()
			if len(r.contexts) != 1 || r.contexts[0].TraceID != want.TraceID || r.contexts[0].ParentID != want.ParentID || r.contexts[0].TID != tid {
				t.Errorf("%+v", r.contexts)
			}
		})
	}
	t.Run("pipe", func(t *testing.T) {
		tr, r := startTracer(t, contextConfig())
		needs(t, tr, "trace context")
		var ask, answer [2]int
		must(t, unix.Pipe2(ask[:], unix.O_CLOEXEC))
		must(t, unix.Pipe2(answer[:], unix.O_CLOEXEC))
		out := os.NewFile(uintptr(ask[1]), "ask")
		in := os.NewFile(uintptr(ask[0]), "ask")
		h := startHelper(t, "receive read", func(c *exec.Cmd) { c.ExtraFiles = []*os.File{in} })
		must(t, tr.AddProcess(h.pid()))
		h.say()
		tid := int32(atoi(t, h.hear()[0]))
		_, err := out.WriteString(text)
		must(t, err)
		eventually(t, "it is read", func() bool {
			must(t, tr.Poll())
			return r.count(func(c Call) bool { return c.TID == tid && c.Number == unix.SYS_READ && int(c.Return) == len(text) }) == 1
		})
		must(t, out.Close())
		must(t, in.Close())
		for _, fd := range answer {
			must(t, unix.Close(fd))
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		if len(r.contexts) != 0 {
			t.Errorf("a pipe was looked into: %+v", r.contexts)
		}
	})
}

// TestTraceContextProperty compares what the kernel finds in requests of all kinds
// with what a plain reading of them gives.
func TestTraceContextProperty(t *testing.T) {
	tr, r := startTracer(t, contextConfig())
	needs(t, tr, "trace context")
	n := 3000
	if os.Getenv(kernelTestEnv) != "" {
		n = 500 // in an emulator
	}
	random := rand.New(rand.NewPCG(1, 2))
	var texts []string
	var want []Context
	for range n {
		text := someRequest(random)
		texts = append(texts, text)
		if c, ok := contextIn(text); ok {
			want = append(want, c)
		}
	}
	if len(want) < n/5 || len(want) > n*4/5 {
		t.Fatalf("%d of %d have one: this tests little", len(want), n)
	}
	send(t, tr, "read", texts)
	r.mu.Lock()
	defer r.mu.Unlock()
	got := make([]Context, len(r.contexts))
	for i, c := range r.contexts {
		got[i] = Context{TraceID: c.TraceID, ParentID: c.ParentID}
	}
	if !slices.Equal(got, want) {
		i := 0
		for i < min(len(got), len(want)) && got[i] == want[i] {
			i++
		}
		t.Errorf("%d contexts, want %d; they differ from number %d on", len(got), len(want), i)
		for _, text := range texts {
			c, ok := contextIn(text)
			if i < len(want) && ok && c == want[i] || i < len(got) && strings.Contains(text, hex.EncodeToString(got[i].TraceID[:])) {
				t.Logf("%q", text)
			}
		}
	}
	t.Logf("%d of %d requests had one", len(want), n)
}

// send has a helper receive texts one by one, and returns its thread.
func send(t *testing.T, tr *Tracer, how string, texts []string) int32 {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	ours, theirs := os.NewFile(uintptr(pair[0]), "ours"), os.NewFile(uintptr(pair[1]), "theirs")
	h := startHelper(t, "receive "+how, func(c *exec.Cmd) { c.ExtraFiles = []*os.File{theirs} })
	must(t, theirs.Close())
	must(t, tr.AddProcess(h.pid()))
	h.say()
	tid := int32(atoi(t, h.hear()[0]))
	answer := make([]byte, 1)
	for _, text := range texts {
		_, err := ours.WriteString(text)
		must(t, err)
		_, err = ours.Read(answer)
		must(t, err)
	}
	must(t, ours.Close())
	must(t, tr.Poll())
	return tid
}

func traceparent(c Context) string { return fmt.Sprintf("00-%x-%x-01", c.TraceID, c.ParentID) }

func httpRequest(headers ...string) string {
	return "GET /path HTTP/1.1\r\nHost: server\r\n" + strings.Join(headers, "\r\n") + "\r\n\r\n"
}

// someRequest makes a request as they may come, or something like one.
func someRequest(r *rand.Rand) string {
	var c Context
	for i := range c.TraceID {
		c.TraceID[i] = byte(r.Uint32())
	}
	for i := range c.ParentID {
		c.ParentID[i] = byte(r.Uint32())
	}
	pick := func(of ...string) string { return of[r.IntN(len(of))] }
	value := traceparent(c)
	switch r.IntN(15) {
	case 0: // one letter of it is another
		b := []byte(value)
		b[r.IntN(len(b))] = byte(r.IntN(256))
		value = string(b)
	case 1:
		value = strings.ToUpper(value)
	case 2:
		value = pick("01", "fe", "ff", "0g", "a0") + value[2:] + pick("", "-more", "more")
	case 3:
		value = value[:r.IntN(len(value))]
	case 4:
		value += pick("x", "-", " ", "00")
	case 5:
		value = pick(strings.Replace(value, hex.EncodeToString(c.TraceID[:]), strings.Repeat("0", 32), 1),
			strings.Replace(value, hex.EncodeToString(c.ParentID[:]), strings.Repeat("0", 16), 1))
	}
	name := pick("traceparent", "Traceparent", "TRACEPARENT", "TraceParent", "traceparent", "Traceparent", "Traceparent", "tracepareny", "xtraceparent", "traceparent ")
	headers := []string{name + ":" + pick(" ", " ", " ", "", "\t", "   ", "      ") + value + pick("", "", " ")}
	for range r.IntN(4) {
		headers = append(headers, pick("Accept", "Cookie", "trace", "Tracestate")+": "+strings.Repeat(pick("a", "traceparent", ":"), r.IntN(30)))
	}
	if r.IntN(4) == 0 { // about where the search ends
		headers = append(headers, "Long: "+strings.Repeat("x", 700+r.IntN(400)))
	}
	r.Shuffle(len(headers), func(i, j int) { headers[i], headers[j] = headers[j], headers[i] })
	end := pick("\r\n", "\r\n", "\r\n", "\n")
	body := pick("", "", "a body", "\ntraceparent: "+traceparent(c)+"\n")
	first := pick("GET /path HTTP/1.1", "PUT /path HTTP/1.1", "GET / HTTP/1.1", "POST / HTTP/1.0", "DELETE /a/b?c=d HTTP/1.1", "HTTP/1.1 200 OK", "get / HTTP/1.1", "*3")
	return first + end + strings.Join(headers, end) + end + end + body
}

// contextIn reads a request as RFC 9112 and the recommendation have it, as far
// as it is looked at.
func contextIn(text string) (c Context, ok bool) {
	if len(text) < 83 {
		return c, false
	}
	for _, b := range []byte(text[:3]) {
		if b < 'A' || b > 'Z' {
			return c, false
		}
	}
	if strings.HasPrefix(text, "HTT") {
		return c, false
	}
	text = text[:min(len(text), ContextBytes)]
	lines := strings.SplitAfter(text, "\n")
	for _, line := range lines[1:] {
		content := strings.TrimRight(line, "\n")
		if content == "" || content == "\r" {
			return c, false
		}
		name, value, found := strings.Cut(line, ":")
		if !found || !strings.EqualFold(name, "traceparent") {
			continue
		}
		trimmed := strings.TrimLeft(value, " \t")
		if len(value)-len(trimmed) > 4 {
			return c, false
		}
		return parsed(trimmed)
	}
	return c, false
}

func parsed(v string) (c Context, ok bool) {
	if len(v) < 56 || v[2] != '-' || v[35] != '-' || v[52] != '-' {
		return c, false
	}
	for _, part := range []string{v[:2], v[3:35], v[36:52], v[53:55]} {
		if strings.Trim(part, "0123456789abcdef") != "" {
			return c, false
		}
	}
	if v[:2] == "ff" || !strings.ContainsRune("\r\n \t", rune(v[55])) && (v[:2] == "00" || v[55] != '-') {
		return c, false
	}
	trace, _ := hex.DecodeString(v[3:35])
	parent, _ := hex.DecodeString(v[36:52])
	copy(c.TraceID[:], trace)
	copy(c.ParentID[:], parent)
	return c, !bytes.Equal(trace, make([]byte, 16)) && !bytes.Equal(parent, make([]byte, 8))
}
