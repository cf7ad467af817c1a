package scenario

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/perfscope/perfscope/testbed/client"
	"github.com/perfscope/perfscope/testbed/load"
	"github.com/perfscope/perfscope/testbed/server"
)

// The subjects that are in use fit into the server's cache of 1,024.
const (
	natsCustomers = 900
	natsRate      = 1500
	natsGateways  = 2
	natsChurn     = 4000 // subscriptions per second and gateway
)

// natsChurning: clients come and go, each with a subscription of its own that
// has a wildcard. For each that comes and each that goes the server looks
// through its whole cache of subjects, with the list of subscriptions locked,
// and every connection forgets what it knew.
//
// https://github.com/nats-io/nats-server/issues/710 (8,000 to 11,000
// subscriptions per second, contention on the list) and
// https://github.com/nats-io/nats-server/issues/941 (locks and cache of the
// list), the version of
// https://github.com/nats-io/nats-server/issues/1328.
func natsChurning() Scenario {
	return Scenario{
		Name:   "nats-subscriptions",
		Title:  "a NATS server searches its cache for each subscription that comes or goes",
		Server: "nats", Language: Go, Kind: Computation, Source: GoModule, Split: Report,
		Normal: "twelve clients ask a service of two instances for the orders of 900 customers, one subject each",
		Fault:  "two gateways subscribe to user.ID.> for each of 8,000 page views per second, and end the subscription after a moment",
		// https://github.com/nats-io/nats-server/blob/v2.1.2/server/sublist.go:
		// the two that go through the cache, and the comparison they make.
		Truth: []string{
			natsPackage + "(*Sublist).addToCache", natsPackage + "(*Sublist).removeFromCache",
			natsPackage + "(*Sublist).removeFromCache.func1", natsPackage + "(*Sublist).addToCache.func1",
		},
		Patterns: []string{"long_computation"},
		Start: func(ctx context.Context) (Workload, error) {
			s, err := server.StartNATS(ctx, "v2.1.2")
			if err != nil {
				return Workload{}, err
			}
			stop, err := natsService(s)
			if err != nil {
				return Workload{}, errors.Join(err, s.Stop())
			}
			return Workload{
				Server: s,
				Load:   natsLoad(s),
				Fault:  func(ctx context.Context) (func(), error) { return natsPageViews(ctx, s) },
				Stop:   stop,
			}, nil
		},
	}
}

const natsPackage = "github.com/nats-io/nats-server/v2/server."

// natsService answers what the load asks: two instances that share the
// requests for orders.
func natsService(s *server.Server) (func(), error) {
	var instances []*client.NATS
	var answering sync.WaitGroup
	stop := func() {
		for _, c := range instances {
			c.Close()
		}
		answering.Wait()
	}
	for range 2 {
		c, err := client.DialNATS(s.Addr)
		if err != nil {
			stop()
			return nil, err
		}
		instances = append(instances, c)
		c.Subscribe("orders.*.* service", 1)
		if err := c.Ping(); err != nil {
			stop()
			return nil, err
		}
		answering.Go(func() {
			for {
				m, err := c.Receive(time.Hour)
				if err != nil {
					return // closed
				}
				if m.Reply == "" {
					continue
				}
				c.Publish(m.Reply, "", "order of "+m.Subject+strings.Repeat(".", 200))
				if c.Flush() != nil {
					return
				}
			}
		})
	}
	return stop, nil
}

// natsLoad asks for orders, and tells now and then what nobody listens to.
func natsLoad(s *server.Server) load.Config {
	worker := 0
	var mu sync.Mutex
	return load.Config{
		Workers: 12,
		Rate:    natsRate,
		Dial: func() (load.Client, error) {
			c, err := client.DialNATS(s.Addr)
			if err != nil {
				return nil, err
			}
			mu.Lock()
			worker++
			inbox := fmt.Sprintf("_INBOX.load%d", worker)
			mu.Unlock()
			c.Subscribe(inbox, 1)
			if err := c.Ping(); err != nil {
				c.Close()
				return nil, err
			}
			return natsRequests{c, inbox}, nil
		},
	}
}

type natsRequests struct {
	*client.NATS
	inbox string
}

func (c natsRequests) Request(r *rand.Rand) error {
	customer := r.IntN(natsCustomers)
	if customer%20 == 0 {
		c.Publish(fmt.Sprintf("audit.%d", customer), "", "seen")
	}
	c.Publish(fmt.Sprintf("orders.%d.%d", customer%7, customer), c.inbox, `{"limit":10}`)
	if err := c.Flush(); err != nil {
		return err
	}
	_, err := c.Receive(5 * time.Second)
	return err
}

// natsPageViews lets the gateways subscribe for one page view after the other.
func natsPageViews(ctx context.Context, s *server.Server) (func(), error) {
	ctx, cancel := context.WithCancel(ctx)
	var gateways sync.WaitGroup
	end := func() { cancel(); gateways.Wait() }
	for range natsGateways {
		c, err := client.DialNATS(s.Addr)
		if err != nil {
			end()
			return nil, err
		}
		gateways.Go(func() {
			defer c.Close()
			natsGateway(ctx, c)
		})
	}
	return end, nil
}

// natsGateway subscribes for a few milliseconds' worth of page views at a
// time, and keeps them until the next lot.
func natsGateway(ctx context.Context, c *client.NATS) {
	const lots = 200 // per second
	tick := time.NewTicker(time.Second / lots)
	defer tick.Stop()
	for id := 1; ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for range natsChurn / lots {
			c.Subscribe(fmt.Sprintf("user.%d.>", id), id)
			if old := id - natsChurn/lots; old > 0 {
				c.Unsubscribe(old)
			}
			id++
		}
		// The answer of the server is waited for: no lot on top of another.
		if c.Ping() != nil {
			return
		}
	}
}
