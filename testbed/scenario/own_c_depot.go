package scenario

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/perfscope/perfscope/testbed/server"
)

const (
	depotItems    = 20_000
	depotShelves  = 40
	depotDocs     = 2_000
	depotGuides   = 10
	depotSessions = 25_000
)

var depotWords = strings.Fields(`oak ash elm pine birch maple cedar walnut chair table shelf lamp desk stool bench
	drawer mirror frame carpet curtain pillow blanket basket candle vase clock kettle teapot bottle plate spoon
	small large round square tall low folding stacking white black green blue amber grey natural painted`)

// depotLife is a catalogue in use, with the service that knows its prices and
// a monitor that reads the statistics.
type depotLife struct {
	*server.CApp
	prices *priceService
	cancel context.CancelFunc
	others sync.WaitGroup
}

func startDepot(ctx context.Context) (*depotLife, error) {
	prices, err := startPrices()
	if err != nil {
		return nil, err
	}
	app, err := server.StartDepot(ctx, fillDepot, "price.host 127.0.0.1", fmt.Sprintf("price.port %d", prices.port()))
	if err != nil {
		prices.stop()
		return nil, err
	}
	l := &depotLife{CApp: app, prices: prices}
	living, cancel := context.WithCancel(ctx)
	l.cancel = cancel
	l.others.Go(func() {
		c := &http.Client{Timeout: 5 * time.Second}
		defer c.CloseIdleConnections()
		for living.Err() == nil {
			if response, err := c.Get("http://" + l.Addr + "/stats"); err == nil {
				_, _ = io.Copy(io.Discard, response.Body)
				response.Body.Close()
			}
			pause(living, time.Second)
		}
	})
	return l, nil
}

func (l *depotLife) stop() {
	l.cancel()
	l.prices.stop()
	l.others.Wait()
}

func (l *depotLife) workload(fault func(context.Context) (func(), error)) Workload {
	return Workload{
		Server: l.Server,
		Load:   httpLoad(12, 700, func(r *rand.Rand) (*http.Request, error) { return depotRequest(l.Addr, r) }),
		Fault:  fault,
		Stop:   l.stop,
	}
}

// set changes a setting of the running server, and back at the end.
func (l *depotLife) set(name, value, before string) (func(), error) {
	put := func(value string) error {
		c := &http.Client{Timeout: 10 * time.Second}
		defer c.CloseIdleConnections()
		response, err := c.Post("http://"+l.Addr+"/admin/set/"+name+"?value="+value, "text/plain", nil)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("depot: %s %s: %s", name, value, response.Status)
		}
		return nil
	}
	return func() { _ = put(before) }, put(value)
}

func depotText(r *rand.Rand, n int) string {
	words := make([]string, n)
	for i := range words {
		words[i] = depotWords[r.IntN(len(depotWords))]
	}
	return strings.Join(words, " ")
}

// fillDepot writes items, documents and the sessions of an earlier life.
func fillDepot(dir string) error {
	r := rand.New(rand.NewPCG(7, 7))
	var b strings.Builder
	for id := 1; id <= depotItems; id++ {
		fmt.Fprintf(&b, "%d\t%d\t%d\t%s %d\t%s\n", id, id%depotShelves, id*13%depotDocs, depotText(r, 3), id, depotText(r, 60+r.IntN(120)))
	}
	if err := os.WriteFile(filepath.Join(dir, "items.tsv"), []byte(b.String()), 0o644); err != nil {
		return err
	}
	b.Reset()
	for i := range depotSessions {
		fmt.Fprintf(&b, "%s user%d %d\n", depotSID(i), i, r.IntN(900))
	}
	if err := os.WriteFile(filepath.Join(dir, "sessions.snap"), []byte(b.String()), 0o644); err != nil {
		return err
	}
	docs := filepath.Join(dir, "docs")
	if err := os.Mkdir(docs, 0o755); err != nil {
		return err
	}
	write := func(name string, size int) error {
		text := fmt.Sprintf("revision: %d\n", 1+r.IntN(9)) + strings.Repeat(depotText(r, 50)+"\n", 1+size/350)
		return os.WriteFile(filepath.Join(docs, name), []byte(text), 0o644)
	}
	for i := range depotDocs {
		if err := write(fmt.Sprintf("%d.txt", i), 500+r.IntN(3000)); err != nil {
			return err
		}
	}
	for i := range depotGuides {
		if err := write(fmt.Sprintf("guide-%d.pdf", i), 100_000); err != nil {
			return err
		}
	}
	return write("manual.pdf", 8<<20)
}

func depotSID(i int) string { return fmt.Sprintf("s%023d", i) }

func depotRequest(addr string, r *rand.Rand) (*http.Request, error) {
	item := 1 + r.IntN(depotItems)
	if r.IntN(5) > 0 {
		item = 1 + r.IntN(1000) // what everybody looks at
	}
	method, path, body := http.MethodGet, "", ""
	switch k := r.IntN(100); {
	case k < 36:
		path = fmt.Sprintf("/item/%d", item)
	case k < 54:
		path = "/search?q=" + url.QueryEscape(depotText(r, 1+r.IntN(2)))
	case k < 70:
		path = fmt.Sprintf("/shelf/%d?page=%d", r.IntN(depotShelves), r.IntN(5))
	case k < 74:
		method, path = http.MethodPost, fmt.Sprintf("/item/%d", item)
		body = `{"text": "` + depotText(r, 60+r.IntN(120)) + `"}`
	case k < 84:
		path = "/session"
	case k < 86:
		method, path, body = http.MethodPost, "/session", fmt.Sprintf(`{"user": "guest%d"}`, r.IntN(1000))
	case k < 90:
		path = fmt.Sprintf("/export?shelf=%d", r.IntN(depotShelves))
	case k < 96:
		path = fmt.Sprintf("/doc/%d.txt", r.IntN(depotDocs))
	case k < 98:
		path = fmt.Sprintf("/doc/guide-%d.pdf", r.IntN(depotGuides))
	default:
		path = fmt.Sprintf("/item/%d", depotItems+1+r.IntN(100))
	}
	request, err := http.NewRequest(method, "http://"+addr+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	if r.IntN(10) > 0 {
		request.Header.Set("Cookie", "lang=en; sid="+depotSID(r.IntN(depotSessions)))
	}
	return request, nil
}

// priceService answers "PRICE <id>" until it is told to be silent.
type priceService struct {
	listener net.Listener
	silent   atomic.Bool
	all      sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]bool
	ended bool
}

func startPrices() (*priceService, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &priceService{listener: listener, conns: map[net.Conn]bool{}}
	p.all.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			p.mu.Lock()
			if p.ended {
				conn.Close()
			}
			p.conns[conn] = true
			p.mu.Unlock()
			p.all.Go(func() { p.serve(conn) })
		}
	})
	return p, nil
}

func (p *priceService) port() int { return p.listener.Addr().(*net.TCPAddr).Port }

func (p *priceService) serve(conn net.Conn) {
	defer conn.Close()
	lines := bufio.NewScanner(conn)
	for lines.Scan() {
		var id int
		if _, err := fmt.Sscanf(lines.Text(), "PRICE %d", &id); err != nil {
			return
		}
		if p.silent.Load() {
			continue
		}
		if _, err := fmt.Fprintf(conn, "CENTS %d\n", 99+id*37%50_000); err != nil {
			return
		}
	}
}

// speak answers again. Whoever waits is sent away to ask anew.
func (p *priceService) speak() {
	p.silent.Store(false)
	p.hangUp()
}

func (p *priceService) hangUp() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for conn := range p.conns {
		conn.Close()
	}
	clear(p.conns)
}

func (p *priceService) stop() {
	p.listener.Close()
	p.mu.Lock()
	p.ended = true
	p.mu.Unlock()
	p.hangUp()
	p.all.Wait()
}
