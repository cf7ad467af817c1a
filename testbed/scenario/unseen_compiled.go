package scenario

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/perfscope/perfscope/testbed/server"
)

// unseenCompiled are mistakes in compiled languages: a lock held across a write to a
// client, one across a file without a buffer, and a hash code that says too little.
func unseenCompiled() []Scenario {
	return []Scenario{feedsReader(), herbariumExport(), fleetHash()}
}

// feedsReader: everybody is told under one lock, and one does not listen:
// https://github.com/gorilla/websocket/blob/v1.5.0/examples/chat/hub.go shows how not to
// (a channel for each client, closed when it is full).
func feedsReader() Scenario {
	return Scenario{
		Name:   "feeds-reader",
		Title:  "a Go server writes to its readers with a lock held",
		Server: "feeds", Language: Go, Kind: LockConvoy, Source: Own, Split: Report,
		Normal: "news are published on twenty topics, shown, and streamed to readers",
		Fault:  "a reader of one topic, which is busy, does not read what it is sent",
		// apps/feeds/main.go.
		Truth:    []string{"main.(*hub).publish"},
		Patterns: []string{"lock_wait", "stuck_call", "blocked_io"},
		Start: func(ctx context.Context) (Workload, error) {
			s, err := server.StartGoApp(ctx, "feeds")
			if err != nil {
				return Workload{}, err
			}
			ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
			for topic := range 20 {
				go readStream(ctx, s, topic)
			}
			text := strings.Repeat("something happened somewhere; ", 400)
			return Workload{
				Server: s,
				Load: impatient(httpLoad(24, 240, func(r *rand.Rand) (*http.Request, error) {
					topic := fmt.Sprintf("http://%s/topics/%d", s.Addr, r.IntN(20))
					switch n := r.IntN(10); {
					case n < 3:
						return http.NewRequest(http.MethodPost, topic, strings.NewReader(text))
					case n < 5:
						return http.NewRequest(http.MethodGet, "http://"+s.Addr+"/about", nil)
					}
					return http.NewRequest(http.MethodGet, topic, nil)
				}), 5*time.Second),
				Fault: func(ctx context.Context) (func(), error) {
					leave, err := neverRead(s, 7)
					if err != nil {
						return nil, err
					}
					// The buffers of both sides hold some MiB.
					long := strings.Repeat("something happened somewhere; ", 2000)
					end := pester(ctx, 20*time.Millisecond, func() (*http.Request, error) {
						return http.NewRequest(http.MethodPost, fmt.Sprintf("http://%s/topics/7", s.Addr), strings.NewReader(long))
					})
					return func() { leave(); end() }, nil
				},
				Stop: stop,
			}, nil
		},
	}
}

// readStream reads what a topic brings until ctx ends or the server does.
func readStream(ctx context.Context, s *server.Server, topic int) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://%s/topics/%d/stream", s.Addr, topic), nil)
	if err != nil {
		return
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body)
}

// neverRead asks for a topic and reads nothing of it.
func neverRead(s *server.Server, topic int) (func(), error) {
	c, err := net.Dial("tcp", s.Addr)
	if err != nil {
		return nil, err
	}
	err = c.(*net.TCPConn).SetReadBuffer(4096)
	if err == nil {
		_, err = fmt.Fprintf(c, "GET /topics/%d/stream HTTP/1.1\r\nHost: feeds\r\n\r\n", topic)
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return func() { c.Close() }, nil
}

// herbariumExport: a file of Rust has no buffer, each piece of a line is a call:
// https://nnethercote.github.io/perf-book/io.html#buffering.
func herbariumExport() Scenario {
	return Scenario{
		Name:   "herbarium-export",
		Title:  "a Rust server writes a file without a buffer, with a lock held",
		Server: "herbarium", Language: Rust, Kind: TinyIO, Source: Own, Split: Report,
		Normal: "plants are shown and renamed, and ten of them are exported now and then",
		Fault:  "somebody exports all 50,000 twice a second",
		// apps/herbarium/main.rs.
		Truth:    []string{"herbarium::Herbarium::export"},
		Patterns: []string{"tiny_io"},
		Start: func(ctx context.Context) (Workload, error) {
			s, err := server.StartHerbarium(ctx)
			if err != nil {
				return Workload{}, err
			}
			get := func(what string, number int) (*http.Request, error) {
				return http.NewRequest(http.MethodGet, fmt.Sprintf("http://%s/%s/%d", s.Addr, what, number), nil)
			}
			return Workload{
				Server: s,
				Load: httpLoad(8, 300, func(r *rand.Rand) (*http.Request, error) {
					switch n := r.IntN(50); {
					case n == 0:
						return get("export", 10)
					case n < 15:
						return get("rename", r.IntN(50_000))
					}
					return get("plants", r.IntN(50_000))
				}),
				Fault: func(ctx context.Context) (func(), error) {
					return pester(ctx, 500*time.Millisecond, func() (*http.Request, error) { return get("export", 50_000) }), nil
				},
			}, nil
		},
	}
}

// fleetHash: keys that share a hash code share a bucket, where those that cannot be
// compared are all looked at:
// https://docs.oracle.com/en/java/javase/17/docs/api/java.base/java/util/HashMap.html
// ("using many keys with the same hashCode() is a sure way to slow down performance").
func fleetHash() Scenario {
	return Scenario{
		Name:   "fleet-hash",
		Title:  "a Java server's keys share a hash code",
		Server: "fleet", Language: Java, Kind: Computation, Source: Own, Split: Report,
		Normal: "what tours of forty stops cost, in 2,000 zones with five weights each, and where vans are",
		Fault:  "a zone with 6,000 weights is loaded, and one tour in four goes there",
		// apps/fleet: TariffKey.hashCode leaves the weight out. java.util.HashMap keeps
		// such keys in a tree whose find goes through both sides.
		Truth:    []string{"fleet.Tariffs.priceTour", "fleet.TariffKey.equals", "java.util.HashMap$TreeNode.find", "java.util.HashMap.getNode", "java.util.HashMap$TreeNode.getTreeNode", "java.util.HashMap.getOrDefault"},
		Patterns: []string{"long_computation"},
		Start: func(ctx context.Context) (Workload, error) {
			s, err := server.StartFleet(ctx)
			if err != nil {
				return Workload{}, err
			}
			var large flip
			return Workload{
				Server: s,
				Load: httpLoad(8, 120, func(r *rand.Rand) (*http.Request, error) {
					if r.IntN(3) == 0 {
						return http.NewRequest(http.MethodGet, fmt.Sprintf("http://%s/vans/%d", s.Addr, r.IntN(300)), nil)
					}
					zone, weight := 1+r.IntN(2000), 0
					if large.on() && r.IntN(4) == 0 {
						zone, weight = 5000, r.IntN(5900)
					}
					return http.NewRequest(http.MethodGet, fmt.Sprintf("http://%s/tours/%d/%d/40", s.Addr, zone, weight), nil)
				}),
				Fault: func(ctx context.Context) (func(), error) {
					request, err := http.NewRequest(http.MethodPost, "http://"+s.Addr+"/zones/5000/6000", nil)
					if err != nil {
						return nil, err
					}
					if err := send(ctx, http.DefaultClient, request); err != nil {
						return nil, err
					}
					return large.fault(ctx)
				},
			}, nil
		},
	}
}
