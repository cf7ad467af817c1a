package scenario

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/perfscope/perfscope/testbed/client"
	"github.com/perfscope/perfscope/testbed/load"
	"github.com/perfscope/perfscope/testbed/server"
)

const (
	bindZone  = "lan.example.org"
	bindHosts = 20_000
)

func bindHost(i int) string { return fmt.Sprintf("host%05d.%s", i, bindZone) }

// bindLeases: an update is in the journal, and the journal on the disk, before
// it is answered, and the thread that does that answers questions, too.
func bindLeases() Scenario {
	return Scenario{
		Name:   "bind-leases",
		Title:  "BIND syncs its journal twice for each of many small updates",
		Server: "named", Language: C, Kind: SyncWrite, Source: Debian, Split: Report,
		Normal: "clients ask for 20,000 hosts of a zone and for some that there are not; now and then a host gets another address",
		Fault:  "power comes back to a building: the DHCP server has leases for thousands of devices and registers each of them on its own",
		// https://www.rfc-editor.org/rfc/rfc2136#section-3.5 (stable storage
		// before the answer); lib/dns/journal.c at 9.18: dns_journal_commit,
		// called by dns_journal_write_transaction, syncs the file before and
		// after it writes the header. The zone's task, in which
		// lib/ns/update.c does that, runs on a thread of the network manager.
		Truth:    []string{"dns_journal_commit", "dns_journal_write_transaction"},
		Patterns: []string{"sync_write_per_operation"},
		Start: func(ctx context.Context) (Workload, error) {
			var hosts strings.Builder
			for i := range bindHosts {
				fmt.Fprintf(&hosts, "host%05d IN A 10.%d.%d.%d\n", i, i>>16, i>>8&255, i&255)
			}
			s, err := server.StartBIND(ctx, bindZone, hosts.String())
			if err != nil {
				return Workload{}, err
			}
			return Workload{
				Server: s,
				Load: load.Config{
					Workers: 12,
					Rate:    900,
					Dial: func() (load.Client, error) {
						c, err := client.DialDNS(s.Addr)
						return resolver{c}, err
					},
				},
				Fault: func(ctx context.Context) (func(), error) { return registerLeases(ctx, s.Addr) },
			}, nil
		},
	}
}

type resolver struct{ *client.DNS }

func (c resolver) Request(r *rand.Rand) error {
	switch n := r.IntN(1000); {
	case n < 850:
		return c.Ask(bindHost(r.IntN(bindHosts)), client.DNSTypeA)
	case n < 900:
		return c.Ask(fmt.Sprintf("printer%d.%s", r.IntN(1000), bindZone), client.DNSTypeA)
	case n < 998:
		return c.Ask(bindZone, client.DNSTypeMX)
	}
	return c.register(r)
}

func (c resolver) register(r *rand.Rand) error {
	return c.SetAddress(bindZone, bindHost(r.IntN(bindHosts)), [4]byte{10, byte(128 + r.IntN(64)), byte(r.IntN(256)), byte(r.IntN(256))})
}

// registerLeases sends updates, eight at a time, 400 per second at the most.
func registerLeases(ctx context.Context, addr string) (func(), error) {
	var ends []func()
	end := func() {
		for _, end := range ends {
			end()
		}
	}
	for i := range 8 {
		c, err := client.DialDNS(addr)
		if err != nil {
			end()
			return nil, err
		}
		r := rand.New(rand.NewPCG(2, uint64(i)))
		stop := repeat(ctx, 20*time.Millisecond, func(context.Context) { _ = resolver{c}.register(r) })
		ends = append(ends, func() { stop(); _ = c.Close() })
	}
	return end, nil
}
