package scenario

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/perfscope/perfscope/testbed/load"
	"github.com/perfscope/perfscope/testbed/server"
)

const (
	statsdNames   = 600 // fit into the cache of 1,000 mappings
	statsdRules   = 60
	statsdPackets = 400 // per second
	statsdLines   = 25  // in a packet
)

// statsdIDs: metrics are mapped by regular expressions, which are tried one
// after the other, behind a cache of 1,000 names. When names hold IDs, each
// is new, and the cache keeps what never comes again.
//
// https://github.com/prometheus/statsd_exporter/pull/198 (what a mapping costs
// without the cache) and the README of v0.22.7 on regular expressions ("all
// mappings must be tested in order").
func statsdIDs() Scenario {
	return Scenario{
		Name:   "statsd-ids",
		Title:  "statsd_exporter tries every rule on metric names that hold IDs",
		Server: "statsd_exporter", Language: Go, Kind: Computation, Source: GoModule, Split: Tune,
		Normal: "10,000 measurements per second under 600 names, mapped by sixty rules, behind a cache",
		Fault:  "a new release of one application puts session IDs into half of its names: the cache misses, sixty regular expressions are tried for each",
		// https://github.com/prometheus/statsd_exporter/blob/v0.22.7/pkg/mapper/mapper.go
		Truth:    []string{"github.com/prometheus/statsd_exporter/pkg/mapper.(*MetricMapper).GetMapping"},
		Patterns: []string{"long_computation"},
		Start: func(ctx context.Context) (Workload, error) {
			s, err := server.StartStatsdExporter(ctx, "v0.22.7", statsdMapping())
			if err != nil {
				return Workload{}, err
			}
			var ids atomic.Bool
			return Workload{
				Server: s.Server,
				Load:   statsdLoad(s, &ids),
				Fault: func(context.Context) (func(), error) {
					ids.Store(true)
					return func() { ids.Store(false) }, nil
				},
			}, nil
		},
	}
}

// statsdMapping has a rule for each of an application's services; the last
// takes what has a session in its name, and leaves the session out.
func statsdMapping() string {
	var rules strings.Builder
	rules.WriteString("mappings:\n")
	for i := range statsdRules - 1 {
		fmt.Fprintf(&rules, "- match: '(\\w+)\\.service%d\\.(\\w+)\\.latency'\n  match_type: regex\n"+
			"  name: service%[1]d_latency\n  labels:\n    application: $1\n    call: $2\n", i)
	}
	rules.WriteString("- match: '(\\w+)\\.(\\w+)\\.session\\.\\w+\\.latency'\n  match_type: regex\n" +
		"  name: session_latency\n  labels:\n    application: $1\n    service: $2\n")
	return rules.String()
}

// statsdLoad sends packets of measurements; one request in four hundred is
// Prometheus, which scrapes them.
func statsdLoad(s *server.StatsdExporter, ids *atomic.Bool) load.Config {
	return load.Config{
		Workers: 4,
		Rate:    statsdPackets,
		Dial: func() (load.Client, error) {
			c, err := net.Dial("udp", s.Metrics)
			if err != nil {
				return nil, err
			}
			return &statsdClient{
				Conn: c, ids: ids, scrape: "http://" + s.Addr + "/metrics",
				http: &http.Client{Transport: &http.Transport{DisableCompression: true}, Timeout: 10 * time.Second},
			}, nil
		},
	}
}

type statsdClient struct {
	net.Conn
	ids    *atomic.Bool
	scrape string
	http   *http.Client
}

func (c *statsdClient) Close() error {
	c.http.CloseIdleConnections()
	return c.Conn.Close()
}

func (c *statsdClient) Request(r *rand.Rand) error {
	if r.IntN(400) == 0 {
		response, err := c.http.Get(c.scrape)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, response.Body)
		return errors.Join(err, response.Body.Close())
	}
	var packet strings.Builder
	for range statsdLines {
		name := r.IntN(statsdNames)
		service, call := name%(statsdRules-1), name/(statsdRules-1)
		if c.ids.Load() && r.IntN(2) == 0 {
			fmt.Fprintf(&packet, "shop.service%d.session.%016x.latency:%d|ms\n", service, r.Uint64(), r.IntN(200))
			continue
		}
		fmt.Fprintf(&packet, "shop.service%d.call%d.latency:%d|ms\n", service, call, r.IntN(200))
	}
	_, err := io.WriteString(c.Conn, packet.String())
	return err
}
