package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/perfscope/perfscope/testbed/load"
	"github.com/perfscope/perfscope/testbed/runner"
	"github.com/perfscope/perfscope/testbed/server"
)

// Context is what it costs to have the trace context read, by a server whose
// every request has one. All its calls are recorded, in either case: this is
// the most that the option can cost.
type Context struct {
	Server string `json:"server"`
	Rounds int    `json:"rounds"`
	// None and Payload are medians over the rounds, without and with it.
	None    Figures `json:"none"`
	Payload Figures `json:"payload"`
	// Loss is the median of what the throughput of a round lost by it, in
	// percent, Lower and Upper the quartiles; NS the CPU time that adds to a
	// request, over all of the host's processors.
	Loss  float64 `json:"loss_percent"`
	Lower float64 `json:"loss_percent_lower_quartile"`
	Upper float64 `json:"loss_percent_upper_quartile"`
	NS    float64 `json:"ns_per_request"`
	// Found is which part of the requests had its context found.
	Found float64 `json:"found"`
}

// MeasureContext saturates nginx in mode continuous without and with
// trace_context: payload, each first in every other round.
func MeasureContext(ctx context.Context, o runner.Options, rounds int, say func(string, ...any)) (result *Context, err error) {
	s, err := server.StartNginx(ctx, "keepalive_requests 1000000000;", `location = /here { return 200 "here"; }`)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Stop()) }()
	l := load.Start(ctx, load.Config{
		Workers: 8, Rate: saturate,
		Dial: func() (load.Client, error) { return dialTraced(s.Addr) },
	})
	defer l.Stop()
	options := []string{"none", "payload"}
	seen := map[string][]Figures{}
	var losses, costs, found []float64
	for round := range rounds {
		now := map[string]Figures{}
		for _, option := range options {
			p, err := measure(ctx, o, l, Continuous, "PERFSCOPE_TRACE_CONTEXT="+option)
			if err != nil {
				return nil, fmt.Errorf("trace_context: %s: %w", option, err)
			}
			f := p.Figures
			say("nginx, round %d, %-8s %8.0f requests/s, p50 %.3f ms, %.2f CPUs busy, %.0f trace contexts/s, %.0f events lost",
				round+1, option, f.RPS, f.P50, f.Busy, f.Contexts, f.Lost)
			now[option] = f
			seen[option] = append(seen[option], f)
		}
		slices.Reverse(options)
		none, payload := now["none"], now["payload"]
		losses = append(losses, 100*(none.RPS-payload.RPS)/none.RPS)
		costs = append(costs, 1e9*(payload.Busy/payload.RPS-none.Busy/none.RPS))
		found = append(found, payload.Contexts/payload.RPS)
	}
	slices.Sort(losses)
	return &Context{
		Server: s.Version, Rounds: rounds, None: medians(seen["none"]), Payload: medians(seen["payload"]),
		Loss: median(losses), Lower: losses[len(losses)/4], Upper: losses[3*len(losses)/4],
		NS: median(costs), Found: median(found),
	}, nil
}

// traced is a connection whose requests have the headers of an instrumented
// client. It is lean: what it takes itself is taken from the server.
type traced struct {
	conn net.Conn
	in   *bufio.Reader
}

func dialTraced(addr string) (*traced, error) {
	conn, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		return nil, err
	}
	return &traced{conn, bufio.NewReader(conn)}, nil
}

// Request makes one.
func (c *traced) Request(r *rand.Rand) error {
	if _, err := fmt.Fprintf(c.conn, "GET /here HTTP/1.1\r\nHost: %s\r\nUser-Agent: Go-http-client/1.1\r\nAccept: application/json\r\nAccept-Encoding: gzip\r\n"+
		"Traceparent: 00-%016x%016x-%016x-01\r\n\r\n", c.conn.RemoteAddr(), r.Uint64(), r.Uint64()|1, r.Uint64()|1); err != nil {
		return err
	}
	response, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return errors.New(response.Status)
	}
	_, err = io.Copy(io.Discard, response.Body)
	return err
}

// Close ends the connection.
func (c *traced) Close() error { return c.conn.Close() }
