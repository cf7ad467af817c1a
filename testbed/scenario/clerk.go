package scenario

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/perfscope/perfscope/testbed/client"
	"github.com/perfscope/perfscope/testbed/load"
	"github.com/perfscope/perfscope/testbed/server"
)

// generalCauses are causes that many bugs have in common, each alone, in a small
// server: testbed/apps/clerk.
func generalCauses() []Scenario {
	return []Scenario{
		clerkHeld(1), clerkHeld(4), clerkHeld(16), clerkSlices(), clerkSpin(),
		clerkHelper(), clerkLoop(), clerkWarm(), clerkDepth(), clerkBasket(), clerkHistory(),
	}
}

// clerk is a running clerk and the service that has its rates.
type clerk struct {
	*server.Server
	rates *ratesService
}

// clerkSettings say how a clerk is run.
type clerkSettings struct {
	workers, connections int
	rate                 float64
	// mix is what is asked for: each line as often as the others, %d is a
	// number.
	mix []string
}

// usualMix is a bit of everything that does not wait.
var usualMix = []string{"FIND article-0%d", "FIND article-0%d", "QUOTE %d 3", "PAGE %d", "RANK article-0%d", "NOTE %d"}

// usualClerk has more threads than the machine has processors.
var usualClerk = clerkSettings{workers: 4, connections: 8, rate: 200, mix: usualMix}

func startClerk(ctx context.Context, how clerkSettings, fault func(ctx context.Context, c *clerk) (func(), error)) (Workload, error) {
	rates, err := startRates()
	if err != nil {
		return Workload{}, err
	}
	rates.slowRate.Store(int64(2 * time.Millisecond))
	s, err := server.StartClerk(ctx, how.workers, rates.addr())
	if err != nil {
		rates.stop()
		return Workload{}, err
	}
	c := &clerk{s, rates}
	w := Workload{Server: s, Stop: rates.stop, Load: load.Config{
		Workers: how.connections, Rate: how.rate,
		Dial: func() (load.Client, error) {
			line, err := client.DialLine(s.Addr)
			return clerkClient{line, how.mix}, err
		},
	}}
	if fault != nil {
		w.Fault = func(ctx context.Context) (func(), error) { return fault(ctx, c) }
	}
	return w, nil
}

type clerkClient struct {
	*client.Line
	mix []string
}

func (c clerkClient) Request(r *rand.Rand) error {
	return c.Do(fmt.Sprintf(c.mix[r.IntN(len(c.mix))], 1000+r.IntN(9000)))
}

// ask has another client send a line again and again.
func (c *clerk) ask(ctx context.Context, every time.Duration, line string) (func(), error) {
	other, err := client.DialLine(c.Addr)
	if err != nil {
		return nil, err
	}
	return repeating(ctx, every, func() error { return other.Do(line) }, func() { other.Close() }), nil
}

// slowRates has the service of rates take longer.
func (c *clerk) slowRates(d time.Duration) (func(), error) {
	was := c.rates.slowRate.Swap(int64(d))
	return func() { c.rates.slowRate.Store(was) }, nil
}
