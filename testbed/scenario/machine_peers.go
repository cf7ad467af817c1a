package scenario

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/perfscope/perfscope/testbed/host"
	"github.com/perfscope/perfscope/testbed/load"
	"github.com/perfscope/perfscope/testbed/server"
)

func squidUpstream() Scenario {
	return external("squid-upstream", "squid waits for an application that has become slow", "squid", C,
		"one process passes requests to an application", "the application takes 300 ms for what took 2 ms",
		func(ctx context.Context) (Workload, error) {
			a, err := startApplication()
			if err != nil {
				return Workload{}, err
			}
			s, err := server.StartSquid(ctx, a.addr, expressions(40))
			if err != nil {
				return stopApplication(err, a)
			}
			return Workload{
				Server: s,
				Load: httpLoad(12, 100, func(r *rand.Rand) (*http.Request, error) {
					return http.NewRequest(http.MethodGet, fmt.Sprintf("http://%s/app/rate?customer=%d", s.Addr, r.Uint32()), nil)
				}),
				Fault: func(context.Context) (func(), error) { return a.slowRates(300 * time.Millisecond), nil },
				Stop:  a.stop,
			}, nil
		})
}

// slowReaders is how many clients take a large file at readerPace bytes per second.
const slowReaders, readerPace = 20, 32 << 10

func apacheReaders() Scenario {
	return external("apache-readers", "apache's clients do not read what they asked for", "apache", C,
		"files under a steady load; a thread for each connection", "twenty clients ask for 8 MiB and read 32 KiB of it a second",
		func(ctx context.Context) (Workload, error) {
			s, err := server.StartApache(ctx, "worker", nil, "StartServers 1", "ServerLimit 1", "ThreadsPerChild 32", "MaxRequestWorkers 32")
			if err != nil {
				return Workload{}, err
			}
			if err := os.WriteFile(filepath.Join(s.Dir, "www", "film.bin"), make([]byte, 8*mebibyte), 0o644); err != nil {
				return stopAfter(err, s)
			}
			return Workload{
				Server: s,
				Load:   httpLoad(8, 300, func(r *rand.Rand) (*http.Request, error) { return fileRequest(s.Addr, r) }),
				Fault: func(ctx context.Context) (func(), error) {
					return meanwhile(ctx, func(ctx context.Context) {
						var all sync.WaitGroup
						for range slowReaders {
							all.Go(func() { readSlowly(ctx, s.Addr) })
						}
						all.Wait()
					}), nil
				},
			}, nil
		})
}

// readSlowly asks for the film over and over.
func readSlowly(ctx context.Context, addr string) {
	buffer := make([]byte, readerPace/10)
	for ctx.Err() == nil {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			return
		}
		_ = c.(*net.TCPConn).SetReadBuffer(16 << 10)
		_, err = fmt.Fprintf(c, "GET /film.bin HTTP/1.0\r\n\r\n")
		every(ctx, 100*time.Millisecond, func() {
			if err == nil {
				_ = c.SetReadDeadline(time.Now().Add(time.Second))
				_, err = c.Read(buffer)
			}
		})
		c.Close()
	}
}

// apacheLink: the link to the clients becomes slow.
func apacheLink() Scenario {
	return external("apache-link", "apache sends over a link that has become slow", "apache", C,
		"clients on another host take files", "the link to it is limited to 4 Mbit/s",
		func(ctx context.Context) (Workload, error) {
			n, err := host.Up("clients")
			if err != nil {
				return Workload{}, err
			}
			addr := net.JoinHostPort(n.IP, "8017")
			s, err := server.StartApache(ctx, "worker", nil, "Listen "+addr, "StartServers 1", "ServerLimit 1", "ThreadsPerChild 32", "MaxRequestWorkers 32")
			if err != nil {
				return Workload{}, errors.Join(err, n.Down())
			}
			far := n.Hosts["clients"]
			return Workload{
				Server: s,
				Load: load.Config{Workers: 8, Rate: 100, Dial: func() (load.Client, error) {
					c := &http.Client{Timeout: time.Minute, Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return far.Dial(addr) }}}
					return httpRequests{func(r *rand.Rand) (*http.Request, error) {
						return http.NewRequest(http.MethodGet, fmt.Sprintf("http://%s/%d.bin", addr, r.IntN(server.NginxFiles)), nil)
					}, c}, nil
				}},
				Fault: func(context.Context) (func(), error) { return n.Unlimit, n.Limit("4mbit") },
				Stop:  func() { _ = n.Down() },
			}, nil
		})
}
