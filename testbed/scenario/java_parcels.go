package scenario

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/perfscope/perfscope/testbed/load"
	"github.com/perfscope/perfscope/testbed/server"
)

// parcelsAtStart is how many parcels apps/parcels begins with.
const parcelsAtStart = 20000

var parcelTowns = []string{
	"Aarhus", "Bergen", "Cork", "Delft", "Espoo", "Ghent", "Graz", "Linz", "Lyon", "Malmo",
	"Nantes", "Oulu", "Porto", "Siena", "Split", "Tartu", "Turin", "Vigo", "Wels", "York",
}

// startParcels brings apps/parcels and its rates service up; fault gets both.
func startParcels(ctx context.Context, fault func(context.Context, *server.Server, *ratesService) (func(), error)) (Workload, error) {
	rates, err := startRates()
	if err != nil {
		return Workload{}, err
	}
	s, err := server.StartParcels(ctx, rates.addr())
	if err != nil {
		rates.stop()
		return Workload{}, err
	}
	requests := parcelsLoad(s, 350)
	warmUp(ctx, requests)
	return Workload{
		Server: s,
		Load:   requests,
		Fault:  func(ctx context.Context) (func(), error) { return fault(ctx, s, rates) },
		Stop:   rates.stop,
	}, nil
}

// warmUp gives a JVM the load that it will have, until most of it is compiled:
// a server that has just started is slow, and that is nobody's fault.
func warmUp(ctx context.Context, requests load.Config) {
	l := load.Start(ctx, requests)
	defer l.Stop()
	select {
	case <-ctx.Done():
	case <-time.After(12 * time.Second):
	}
}

// parcelsLoad is what customers, shops and sorting machines ask for; a few
// parcels do not exist, a few requests are wrong.
func parcelsLoad(s *server.Server, rate float64) load.Config {
	base := "http://" + s.Addr
	town := func(r *rand.Rand) string { return parcelTowns[r.IntN(len(parcelTowns))] }
	return httpLoad(16, rate, func(r *rand.Rand) (*http.Request, error) {
		id := 1 + r.IntN(parcelsAtStart+parcelsAtStart/50)
		switch n := r.IntN(100); {
		case n < 35:
			return http.NewRequest(http.MethodGet, fmt.Sprintf("%s/parcels/%d", base, id), nil)
		case n < 50:
			return http.NewRequest(http.MethodGet, fmt.Sprintf("%s/history/%d", base, id), nil)
		case n < 65:
			body := strings.NewReader(town(r) + "|sorted")
			return http.NewRequest(http.MethodPost, fmt.Sprintf("%s/events/%d", base, id), body)
		case n < 77:
			return http.NewRequest(http.MethodGet, fmt.Sprintf("%s/label/%d", base, id), nil)
		case n < 92:
			return http.NewRequest(http.MethodGet,
				fmt.Sprintf("%s/quote?from=%s&to=%s&grams=%d", base, town(r), town(r), 100+r.IntN(9000)), nil)
		case n < 97:
			return http.NewRequest(http.MethodGet, fmt.Sprintf("%s/search?town=%s&state=moving", base, town(r)), nil)
		case n < 99:
			return http.NewRequest(http.MethodGet, base+"/summary", nil)
		default:
			return http.NewRequest(http.MethodGet, base+"/quote?from="+town(r), nil)
		}
	})
}

// parcelsDo makes one request that must be answered with 204 or 200.
func parcelsDo(ctx context.Context, c *http.Client, method, url, body string) error {
	request, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return err
	}
	response, err := c.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return err
	}
	if response.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("%s %s: %s", method, url, response.Status)
	}
	return nil
}

// often calls do every interval, in turn, until the returned function is
// called.
func often(ctx context.Context, interval time.Duration, do func(ctx context.Context, i int)) func() {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(interval)
		defer tick.Stop()
		for i := 0; ctx.Err() == nil; i++ {
			do(ctx, i)
			select {
			case <-ctx.Done():
			case <-tick.C:
			}
		}
	}()
	return func() { cancel(); <-done }
}

// ratesService is the peer of apps/parcels and apps/clerk: PING and RATE, a line
// each.
type ratesService struct {
	listener net.Listener
	// slowPing and slowRate are how long PING and RATE take, in nanoseconds;
	// busy is the share of RATE, in percent, that is refused.
	slowPing, slowRate, busy atomic.Int64

	mu    sync.Mutex
	conns map[net.Conn]bool
	ended bool
	wg    sync.WaitGroup
}

func startRates() (*ratesService, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &ratesService{listener: l, conns: map[net.Conn]bool{}}
	s.wg.Go(s.accept)
	return s, nil
}

func (s *ratesService) addr() string { return s.listener.Addr().String() }

func (s *ratesService) stop() {
	s.mu.Lock()
	s.ended = true
	for c := range s.conns {
		c.Close()
	}
	s.mu.Unlock()
	s.listener.Close()
	s.wg.Wait()
}

func (s *ratesService) accept() {
	for {
		c, err := s.listener.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			time.Sleep(10 * time.Millisecond)
			continue
		}
		s.mu.Lock()
		if s.ended {
			c.Close()
		} else {
			s.conns[c] = true
			s.wg.Go(func() { s.serve(c) })
		}
		s.mu.Unlock()
	}
}

func (s *ratesService) serve(c net.Conn) {
	defer func() {
		c.Close()
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
	}()
	lines := bufio.NewScanner(c)
	for lines.Scan() {
		answer := "OK"
		if line := lines.Text(); line == "PING" {
			time.Sleep(time.Duration(s.slowPing.Load()))
		} else if rand.Int64N(100) < s.busy.Load() {
			answer = "BUSY"
		} else {
			time.Sleep(time.Duration(s.slowRate.Load()) + historyOf(line))
			answer = fmt.Sprint(300 + 7*len(line))
		}
		if _, err := io.WriteString(c, answer+"\n"); err != nil {
			return
		}
	}
}

// historyOf is how much longer it takes to answer "HISTORY currency days" than a rate:
// it looks at each day.
func historyOf(line string) time.Duration {
	const day = 2 * time.Millisecond
	var currency, days int64
	if n, _ := fmt.Sscanf(line, "HISTORY %d %d", &currency, &days); n < 2 {
		return 0
	}
	return time.Duration(min(days, 1000)) * day
}
