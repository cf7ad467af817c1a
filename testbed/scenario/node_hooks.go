package scenario

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/perfscope/perfscope/testbed/server"
)

// hooksNames: a slow name server holds the four threads of libuv's pool, in which
// getaddrinfo runs, and what else needs one waits, too:
// https://github.com/nodejs/node/issues/8436 ("dns.lookup blocks threadpool").
func hooksNames() Scenario {
	return Scenario{
		Name:   "hooks-names",
		Title:  "Node's pool of threads waits for a slow name server",
		Server: "hooks", Language: Node, Kind: Hang, Source: Own, Split: Tune,
		Normal: "customers' servers, which have names, hear of events; one request in five reads a file",
		Fault:  "the name server takes 400 milliseconds for an answer",
		// libuv's src/unix/getaddrinfo.c, and Node's lib/dns.js, whose lookup
		// has it asked for every connection.
		Truth:    []string{"uv__getaddrinfo_work", "lookup"},
		Patterns: []string{"blocked_io", "stuck_call"},
		Start: func(ctx context.Context) (Workload, error) {
			a, err := startApplication()
			if err != nil {
				return Workload{}, err
			}
			names, err := startNameServer()
			if err != nil {
				return stopApplication(err, a)
			}
			stop := func() { a.stop(); names.conn.Close() }
			_, port, _ := net.SplitHostPort(a.addr)
			s, err := server.StartNodeAsking(ctx, names.ip, "hooks", "--port", port)
			if err != nil {
				stop()
				return Workload{}, err
			}
			return Workload{
				Server: s,
				Load: httpLoad(16, 100, func(r *rand.Rand) (*http.Request, error) {
					what := "events"
					if r.IntN(5) == 0 {
						what = "receipts"
					}
					return http.NewRequest(http.MethodGet, fmt.Sprintf("http://%s/%s/%d", s.Addr, what, r.IntN(300)), nil)
				}),
				Fault: func(context.Context) (func(), error) {
					names.takes.Store(int64(400 * time.Millisecond))
					return func() { names.takes.Store(0) }, nil
				},
				Stop: func() { server.RemovePerfMap(s); stop() },
			}, nil
		},
	}
}

// nameServer says that every name is this machine.
type nameServer struct {
	conn net.PacketConn
	ip   string
	// takes is the time in nanoseconds that an answer takes.
	takes atomic.Int64
}

// startNameServer listens on port 53, the only one that the C library asks, of an
// address of the loopback interface that nobody else has.
func startNameServer() (*nameServer, error) {
	for try := 0; ; try++ {
		ip := fmt.Sprintf("127.77.%d.%d", rand.IntN(256), 1+rand.IntN(254))
		conn, err := net.ListenPacket("udp", net.JoinHostPort(ip, "53"))
		if err != nil && try < 3 {
			continue
		}
		if err != nil {
			return nil, err
		}
		n := &nameServer{conn: conn, ip: ip}
		go n.serve()
		return n, nil
	}
}

func (n *nameServer) serve() {
	query := make([]byte, 512)
	for {
		size, from, err := n.conn.ReadFrom(query)
		if err != nil {
			return // closed
		}
		var m dnsmessage.Message
		if m.Unpack(query[:size]) != nil || len(m.Questions) != 1 {
			continue
		}
		m.Response, m.Additionals = true, nil
		header := dnsmessage.ResourceHeader{Name: m.Questions[0].Name, Class: dnsmessage.ClassINET, TTL: 60}
		switch m.Questions[0].Type {
		case dnsmessage.TypeA:
			m.Answers = []dnsmessage.Resource{{Header: header, Body: &dnsmessage.AResource{A: [4]byte{127, 0, 0, 1}}}}
		case dnsmessage.TypeMX: // its mail goes to itself
			m.Answers = []dnsmessage.Resource{{Header: header, Body: &dnsmessage.MXResource{Pref: 10, MX: header.Name}}}
		}
		if answer, err := m.Pack(); err == nil {
			time.AfterFunc(time.Duration(n.takes.Load()), func() { _, _ = n.conn.WriteTo(answer, from) })
		}
	}
}
