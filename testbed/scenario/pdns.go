package scenario

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/perfscope/perfscope/testbed/client"
	"github.com/perfscope/perfscope/testbed/load"
	"github.com/perfscope/perfscope/testbed/server"
)

const (
	pdnsZones = 500
	pdnsHosts = 40 // of a zone
)

// pdnsImport: SQLite has one writer, and with a rollback journal nobody reads
// while it writes. The
// backend of PowerDNS looks again every millisecond, for as long as it takes.
func pdnsImport() Scenario {
	return Scenario{
		Name:   "pdns-import",
		Title:  "PowerDNS sleeps until another program's transaction is over",
		Server: "pdns", Language: C, Kind: Sleep, Source: Debian, Split: Report,
		Normal: "500 zones of 40 hosts in SQLite, asked for over UDP; some names do not exist",
		Fault:  "a program imports customers' zones: it begins an exclusive transaction, asks the registry, which takes 400 ms, writes and commits, and goes on 150 ms later",
		// https://github.com/PowerDNS/pdns/blob/auth-4.7.3/pdns/ssqlite3.cc
		// SSQLite3::busyHandler sleeps for 1 ms and says go on, for
		// sqlite3_step, which SSQLite3Statement::execute calls for
		// GSQLBackend::lookup; the handler never gives up.
		Truth:    []string{"SSQLite3::busyHandler", "SSQLite3Statement::execute"},
		Patterns: []string{"sleep_in_request", "busy_loop_on_failing_call"},
		Start: func(ctx context.Context) (Workload, error) {
			s, err := server.StartPDNS(ctx, pdnsRows())
			if err != nil {
				return Workload{}, err
			}
			return Workload{
				Server: s,
				Load:   pdnsLoad(s, 800),
				Fault:  func(ctx context.Context) (func(), error) { return importZones(ctx, s) },
			}, nil
		},
	}
}

func pdnsZone(n int) string { return fmt.Sprintf("customer%03d.example", n) }

func pdnsRows() string {
	var b strings.Builder
	for id := 1; id <= pdnsZones; id++ {
		zone := pdnsZone(id - 1)
		fmt.Fprintf(&b, "INSERT INTO domains (id, name, type) VALUES (%d, '%s', 'NATIVE');\n", id, zone)
		fmt.Fprintf(&b, "INSERT INTO records (domain_id, name, type, content, ttl) VALUES\n")
		fmt.Fprintf(&b, "(%d, '%[2]s', 'SOA', 'ns1.%[2]s admin.%[2]s 1 3600 600 86400 300', 3600),\n", id, zone)
		fmt.Fprintf(&b, "(%d, '%[2]s', 'NS', 'ns1.%[2]s', 3600), (%[1]d, '%[2]s', 'MX', '10 host1.%[2]s', 3600)", id, zone)
		for host := range pdnsHosts {
			fmt.Fprintf(&b, ",\n(%d, 'host%d.%s', 'A', '192.0.2.%d', 300)", id, host, zone, 1+host)
		}
		b.WriteString(";\n")
	}
	return b.String()
}

// pdnsLoad is resolvers that ask for hosts, mail and names that are not there.
func pdnsLoad(s *server.Server, rate float64) load.Config {
	return load.Config{
		Workers: 16,
		Rate:    rate,
		Dial: func() (load.Client, error) {
			c, err := client.DialDNS(s.Addr)
			return dnsRequests{c}, err
		},
	}
}

type dnsRequests struct{ *client.DNS }

func (c dnsRequests) Request(r *rand.Rand) error {
	name, kind := fmt.Sprintf("host%d.%s", r.IntN(pdnsHosts), pdnsZone(r.IntN(pdnsZones))), uint16(client.DNSTypeA)
	switch n := r.IntN(100); {
	case n < 70:
	case n < 85:
		name, kind = pdnsZone(r.IntN(pdnsZones)), client.DNSTypeMX
	case n < 93:
		kind = client.DNSTypeTXT // there is none
	default:
		name = fmt.Sprintf("x%d.%s", r.IntN(10_000), pdnsZone(r.IntN(pdnsZones)))
	}
	return c.Ask(name, kind)
}

// importZones has another program write to the database, one zone after the
// other.
func importZones(ctx context.Context, s *server.Server) (func(), error) {
	ctx, cancel := context.WithCancel(ctx)
	shell, err := server.PDNSShell(ctx, s)
	if err != nil {
		cancel()
		return nil, err
	}
	input, err := shell.StdinPipe()
	if err == nil {
		err = shell.Start()
	}
	if err != nil {
		cancel()
		return nil, err
	}
	end := often(ctx, time.Millisecond, func(ctx context.Context, i int) {
		_, _ = io.WriteString(input, "BEGIN EXCLUSIVE;\n")
		rest(ctx, 400*time.Millisecond) // the registry
		_, _ = fmt.Fprintf(input, "UPDATE records SET ttl = %d WHERE domain_id = %d;\nCOMMIT;\n", 300+i, 1+i%pdnsZones)
		rest(ctx, 150*time.Millisecond)
	})
	return func() {
		end()
		cancel()
		_ = shell.Wait() // it was killed
	}, nil
}
