package scenario

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/perfscope/perfscope/testbed/client"
	"github.com/perfscope/perfscope/testbed/load"
	"github.com/perfscope/perfscope/testbed/server"
)

// courierLife is a message relay in use: publishers and consumers (the load),
// subscribers that acknowledge, an upstream that billing goes to, and a
// monitor that reads the statistics.
type courierLife struct {
	*server.CApp
	upstream *courierUpstreamPeer
	cancel   context.CancelFunc
	others   sync.WaitGroup
}

func startCourier(ctx context.Context) (*courierLife, error) {
	upstream, err := startUpstreamPeer()
	if err != nil {
		return nil, err
	}
	app, err := server.StartCourier(ctx, "lease 500", "retention 10", "client.sndbuf 32768",
		"forward.topic billing.>", "forward.links 8", "forward.limit 500", "forward.host 127.0.0.1", fmt.Sprintf("forward.port %d", upstream.port()))
	if err != nil {
		upstream.stop()
		return nil, err
	}
	l := &courierLife{CApp: app, upstream: upstream}
	living, cancel := context.WithCancel(ctx)
	l.cancel = cancel
	for i := range 3 {
		l.others.Go(func() { l.subscribe(living, i) })
	}
	l.others.Go(func() { l.monitor(living) })
	return l, nil
}

func (l *courierLife) stop() {
	l.cancel()
	l.others.Wait()
	l.upstream.stop()
}

func (l *courierLife) workload(fault func(context.Context) (func(), error)) Workload {
	return Workload{
		Server: l.Server,
		Load: load.Config{
			Workers: 8,
			Rate:    2000,
			Dial: func() (load.Client, error) {
				c, err := client.DialCourier(l.Addr)
				if err != nil {
					return nil, err
				}
				return courierClient{c}, nil
			},
		},
		Fault: fault,
		Stop:  l.stop,
	}
}

// subscribe takes events and acknowledges them.
func (l *courierLife) subscribe(ctx context.Context, i int) {
	for ctx.Err() == nil {
		c, err := client.DialCourier(l.Addr)
		if err != nil {
			pause(ctx, 200*time.Millisecond)
			continue
		}
		end := context.AfterFunc(ctx, func() { c.Close() })
		for n := range 4 {
			var filter []string
			if i == 2 {
				filter = []string{"filter: region=eu"}
			}
			if err = c.Send(fmt.Sprintf("SUB events.%d 32", (i+n)%6), filter, ""); err != nil {
				break
			}
		}
		for err == nil {
			var line string
			if line, err = c.Receive(time.Minute); err == nil && strings.HasPrefix(line, "MSG ") {
				err = c.Send("ACK "+strings.Fields(line)[2], nil, "")
			}
		}
		end()
		c.Close()
		pause(ctx, 200*time.Millisecond)
	}
}

func (l *courierLife) monitor(ctx context.Context) {
	for i := 0; ctx.Err() == nil; i++ {
		_, _ = client.CourierAdmin(l.Admin, []string{"stats", "topics", "clients", "links"}[i%4])
		pause(ctx, time.Second)
	}
}

// admin sends one admin command.
func (l *courierLife) admin(command string) error {
	_, err := client.CourierAdmin(l.Admin, command)
	return err
}

type courierClient struct{ *client.Courier }

var (
	courierBody    = strings.Repeat("a message of some length; ", 100)
	courierRegions = []string{"eu", "us", "asia"}
)

func (c courierClient) Request(r *rand.Rand) error {
	n := strconv.Itoa(r.IntN(20))
	headers := []string{"region: " + courierRegions[r.IntN(3)], "content-type: application/json", "trace-id: " + strconv.FormatUint(r.Uint64(), 16)}
	for i := range r.IntN(6) {
		headers = append(headers, fmt.Sprintf("x-label-%d: %d", i, r.IntN(1000)))
	}
	body := courierBody[:100+r.IntN(2000)]
	var err error
	switch k := r.IntN(100); {
	case k < 28:
		_, err = c.Do("PUB orders."+n, headers, body)
	case k < 42:
		_, err = c.Do("PUB events."+strconv.Itoa(r.IntN(6)), headers, body)
	case k < 50:
		_, err = c.Do("PUB billing."+n, headers, body)
	case k < 78:
		_, err = c.Do("GET orders."+n, nil, "")
	case k < 88:
		_, err = c.Do("PEEK orders."+n, nil, "")
	case k < 93:
		_, err = c.Do("INFO events."+strconv.Itoa(r.IntN(6)), nil, "")
	case k < 95:
		_, err = c.Do("GET nobody.ever.published", nil, "")
	default:
		_, err = c.Do("PING", nil, "")
	}
	return err
}

// courierUpstreamPeer is the relay that billing is forwarded to.
type courierUpstreamPeer struct {
	listener net.Listener
	dead     atomic.Bool
	all      sync.WaitGroup

	mu    sync.Mutex
	links map[net.Conn]bool
}

func startUpstreamPeer() (*courierUpstreamPeer, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &courierUpstreamPeer{listener: listener, links: map[net.Conn]bool{}}
	p.all.Go(p.accept)
	return p, nil
}

func (p *courierUpstreamPeer) port() int { return p.listener.Addr().(*net.TCPAddr).Port }

func (p *courierUpstreamPeer) accept() {
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			return
		}
		if p.dead.Load() {
			// What a balancer does: it looks for somebody behind it, finds
			// nobody and hangs up.
			p.all.Go(func() {
				time.Sleep(500 * time.Microsecond)
				reset(conn)
			})
			continue
		}
		p.mu.Lock()
		p.links[conn] = true
		p.mu.Unlock()
		p.all.Go(func() { p.serve(conn) })
	}
}

// serve confirms what comes.
func (p *courierUpstreamPeer) serve(conn net.Conn) {
	defer func() {
		p.mu.Lock()
		delete(p.links, conn)
		p.mu.Unlock()
		conn.Close()
	}()
	received := courierReader(conn)
	for id := 1; ; id++ {
		command, err := received()
		if err != nil {
			return
		}
		answer := fmt.Sprintf("OK %d\n", id)
		if command == "PING" {
			answer = "OK 0\n"
		}
		if _, err := io.WriteString(conn, answer); err != nil {
			return
		}
	}
}

// die ends every link and lets no new one live.
func (p *courierUpstreamPeer) die() {
	p.dead.Store(true)
	p.mu.Lock()
	defer p.mu.Unlock()
	for conn := range p.links {
		reset(conn)
	}
}

func (p *courierUpstreamPeer) stop() {
	p.listener.Close()
	p.die()
	p.all.Wait()
}

func reset(conn net.Conn) {
	if c, ok := conn.(*net.TCPConn); ok {
		_ = c.SetLinger(0)
	}
	conn.Close()
}

// courierReader reads the frames a relay sends to another.
func courierReader(conn net.Conn) func() (string, error) {
	r := bufio.NewReader(conn)
	return func() (string, error) {
		line, err := r.ReadString('\n')
		if err != nil {
			return "", err
		}
		words := strings.Fields(line)
		if len(words) == 0 {
			return "", errors.New("an empty command")
		}
		for line != "\n" {
			if line, err = r.ReadString('\n'); err != nil {
				return "", err
			}
		}
		if words[0] == "PUB" && len(words) == 3 {
			n, err := strconv.Atoi(words[2])
			if err != nil {
				return "", err
			}
			if _, err := r.Discard(n); err != nil {
				return "", err
			}
		}
		return words[0], nil
	}
}
