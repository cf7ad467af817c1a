package scenario

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/perfscope/perfscope/testbed/client"
	"github.com/perfscope/perfscope/testbed/load"
	"github.com/perfscope/perfscope/testbed/server"
)

// examDaemons are servers of Debian, none of whose own functions has a name.
func examDaemons() []Scenario {
	return []Scenario{beanstalkdTubes(), rsyslogHosts(), nginxGzip()}
}

// beanstalkdTubes: all tubes are gone through at every turn of the event loop.
func beanstalkdTubes() Scenario {
	return Scenario{
		Name:   "beanstalkd-tubes",
		Title:  "beanstalkd goes through all tubes for each job",
		Server: "beanstalkd", Language: C, Kind: Computation, Source: Debian, Split: Tune,
		Normal: "jobs of twelve tubes are put, taken and deleted",
		Fault:  "a tube for each customer: somebody watches 15,000",
		// https://github.com/beanstalkd/beanstalkd/blob/v1.12/prot.c: prottick (and in it
		// soonest_delayed_job) and process_queue (next_awaited_job) look at every tube.
		// They have no names in Debian's binary and are shown by where they start
		// (1.12-2+b1; perf, objdump).
		Truth: []string{"beanstalkd+0xaa70", "beanstalkd+0x6dd0"},

		Patterns: []string{"long_computation"},
		Start: func(ctx context.Context) (Workload, error) {
			s, err := server.StartBeanstalkd(ctx)
			if err != nil {
				return Workload{}, err
			}
			return Workload{
				Server: s,
				Load:   load.Config{Workers: 12, Rate: 300, Dial: func() (load.Client, error) { return dialTube(s.Addr) }},
				Fault:  func(context.Context) (func(), error) { return watchTubes(s.Addr, 15_000) },
			}, nil
		},
	}
}

// tubeUser puts and takes the jobs of a tube.
type tubeUser struct{ *client.Beanstalkd }

func dialTube(addr string) (load.Client, error) {
	c, err := client.DialBeanstalkd(addr)
	if err != nil {
		return nil, err
	}
	if err := c.Tube(fmt.Sprintf("work-%d", rand.IntN(1<<30))); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return tubeUser{c}, nil
}

func (c tubeUser) Request(r *rand.Rand) error { return c.Job(strings.Repeat("work ", 20+r.IntN(200))) }

func watchTubes(addr string, many int) (func(), error) {
	c, err := client.DialBeanstalkd(addr)
	for i := 0; err == nil && i < many; i++ {
		err = c.Watch(fmt.Sprintf("customer-%d", i))
	}
	return func() { _ = c.Close() }, err
}

// rsyslogHosts: where more hosts send than files are kept open, each message closes one
// and opens another:
// https://www.rsyslog.com/doc/configuration/modules/omfile.html#dynafilecachesize
// ("a cache that is too small ... will lead to cache thrashing").
func rsyslogHosts() Scenario {
	return Scenario{
		Name:   "rsyslog-hosts",
		Title:  "rsyslog opens a file for each message",
		Server: "rsyslog", Language: C, Kind: TinyIO, Source: Debian, Split: Tune,
		Normal: "messages of six hosts, each of which has its file",
		Fault:  "sixty hosts more send theirs, and ten files are kept open",
		// https://github.com/rsyslog/rsyslog/blob/v8.2302.0/tools/omfile.c: prepareDynFile,
		// in commitTransaction, closes the file that was used least recently (strmDestruct)
		// and has prepareFile make another, which runtime/stream.c opens when it is first
		// written to (strmOpenFile, doPhysOpen). All but one have no names in Debian's
		// binary and are shown by where they start (8.2302.0-1+deb12u1; gdb, objdump).
		Truth: []string{"rsyslogd+0x21db0", "rsyslogd+0x21970", "rsyslogd+0x56f10", "rsyslogd+0x56bf0", "strmDestruct"},

		Patterns: []string{"tiny_io"},
		Start: func(ctx context.Context) (Workload, error) {
			s, err := server.StartRsyslog(ctx)
			if err != nil {
				return Workload{}, err
			}
			var more flip
			return Workload{
				Server: s,
				Load: load.Config{Workers: 6, Rate: 1500, Dial: func() (load.Client, error) {
					conn, err := net.DialTimeout("tcp", s.Addr, time.Second)
					return logSender{conn, &more}, err
				}},
				Fault: more.fault,
			}, nil
		},
	}
}

// logSender sends messages of hosts, four at a time; nobody answers.
type logSender struct {
	net.Conn
	more *flip
}

func (c logSender) Request(r *rand.Rand) error {
	hosts := 6
	if c.more.on() {
		hosts = 66
	}
	var text strings.Builder
	for range 4 {
		fmt.Fprintf(&text, "<13>%s host%02d shop: order %d of customer %d\n", time.Now().Format(time.Stamp), r.IntN(hosts), r.IntN(1e6), r.IntN(5000))
	}
	_, err := c.Write([]byte(text.String()))
	return err
}

// nginxGzip: everything is compressed as well as can be, which takes several times as
// long as the default for a per cent or two:
// https://nginx.org/en/docs/http/ngx_http_gzip_module.html#gzip_comp_level.
func nginxGzip() Scenario {
	return Scenario{
		Name:   "nginx-gzip",
		Title:  "nginx compresses what cannot be compressed",
		Server: "nginx", Language: C, Kind: Computation, Source: Debian, Split: Tune,
		Normal: "files of 1 to 256 KiB",
		Fault:  "a new configuration has gzip on for all types, at level 9",
		// src/http/modules/ngx_http_gzip_filter_module.c: ngx_http_gzip_body_filter, which
		// has no name in Debian's binary and is shown by where it starts
		// (1.22.1-9+deb12u7), and what of zlib it calls: deflate, deflate_slow,
		// longest_match, compress_block and the like (1.2.13; perf, objdump).
		Truth: []string{
			"nginx+0x95f40", "deflate", "libz.so.1.2.13+0x5d80", "libz.so.1.2.13+0x4970", "libz.so.1.2.13+0x4b10",
			"libz.so.1.2.13+0x10a60", "libz.so.1.2.13+0x10b60",
		},

		Patterns: []string{"long_computation"},
		Start: func(ctx context.Context) (Workload, error) {
			s, err := server.StartNginx(ctx)
			if err != nil {
				return Workload{}, err
			}
			return Workload{
				Server: s,
				Load: httpLoad(8, 60, func(r *rand.Rand) (*http.Request, error) {
					request, err := http.NewRequest(http.MethodGet, fmt.Sprintf("http://%s/%d.bin", s.Addr, r.IntN(server.NginxFiles)), nil)
					if err == nil {
						request.Header.Set("Accept-Encoding", "gzip")
					}
					return request, err
				}),
				Fault: func(context.Context) (func(), error) {
					return func() {}, server.ReloadNginx(s, "root ", "gzip on; gzip_types *; gzip_comp_level 9; root ")
				},
			}, nil
		},
	}
}
