package scenario

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/perfscope/perfscope/testbed/server"
)

// lighttpdChunks: a request body beyond 64 KiB goes to a temporary file, and
// each chunk of a chunked one with a write of its own.
func lighttpdChunks() Scenario {
	return Scenario{
		Name:   "lighttpd-chunks",
		Title:  "lighttpd writes request bodies to disk a line at a time",
		Server: "lighttpd", Language: C, Kind: TinyIO, Source: Debian, Split: Report,
		Normal: "one process serves files and passes pages and uploads, some of 256 KiB, to an application",
		Fault:  "six log shippers post a MiB of lines of 80 bytes, each line a chunk: thousands of tiny writes per request, and all others wait",
		// src/h1.c h1_chunked hands every chunk to src/chunk.c
		// chunkqueue_steal_with_tempfiles, which writes it. The first is part
		// of h1_reqbody_read, which has no name in Debian's binary and is
		// shown by where it starts (1.4.69-1).
		// https://github.com/lighttpd/lighttpd1.4/blob/lighttpd-1.4.69/src/h1.c
		Truth:    []string{"chunkqueue_steal_with_tempfiles", "lighttpd+0x26520"},
		Patterns: []string{"tiny_io"},
		Start: func(ctx context.Context) (Workload, error) {
			a, err := startApplication()
			if err != nil {
				return Workload{}, err
			}
			host, port, _ := net.SplitHostPort(a.addr)
			s, err := server.StartLighttpd(ctx, []string{"mod_proxy"}, fmt.Sprintf(
				`$HTTP["url"] =~ "^/app/" { proxy.server = ("" => (("host" => %q, "port" => %s))) }`, host, port))
			if err != nil {
				return stopApplication(err, a)
			}
			return Workload{
				Server: s,
				Load: httpLoad(12, 600, func(r *rand.Rand) (*http.Request, error) {
					switch n := r.IntN(100); {
					case n < 2:
						return upload(s.Addr, 256<<10)
					case n < 40:
						return appRequest(s.Addr, r)
					}
					return fileRequest(s.Addr, r)
				}),
				Fault: func(ctx context.Context) (func(), error) { return shipLines(ctx, s), nil },
				Stop:  a.stop,
			}, nil
		},
	}
}

// shipLines has six clients post their lines twice a second.
func shipLines(ctx context.Context, s *server.Server) func() {
	ctx, cancel := context.WithCancel(ctx)
	var shippers sync.WaitGroup
	for i := range 6 {
		shippers.Go(func() {
			rest(ctx, time.Duration(i)*100*time.Millisecond)
			for ctx.Err() == nil {
				shipOnce(ctx, s.Addr)
				rest(ctx, 500*time.Millisecond)
			}
		})
	}
	return func() { cancel(); shippers.Wait() }
}

func shipOnce(ctx context.Context, addr string) {
	c, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	w := bufio.NewWriterSize(c, 16<<10)
	fmt.Fprintf(w, "POST /app/upload HTTP/1.1\r\nHost: %s\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n", addr)
	line := strings.Repeat("l", 79) + "\n"
	for range 1 << 20 / len(line) {
		fmt.Fprintf(w, "%x\r\n%s\r\n", len(line), line)
	}
	_, _ = io.WriteString(w, "0\r\n\r\n")
	if w.Flush() == nil {
		_, _ = io.Copy(io.Discard, c)
	}
}
