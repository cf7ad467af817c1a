package scenario

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/perfscope/perfscope/testbed/client"
	"github.com/perfscope/perfscope/testbed/load"
	"github.com/perfscope/perfscope/testbed/server"
)

// secondDaemons are servers of Debian.
func secondDaemons() []Scenario { return []Scenario{snmpdPass(), privoxyFilter(), influxPattern()} }

// upsObject is what a script answers for snmpd.
const upsObject = ".1.3.6.1.4.1.8072.9999.1"

// snmpdPass: the agent has one thread, which waits for a script that answers in its place:
// http://www.net-snmp.org/docs/man/snmpd.conf.html ("pass ... blocks").
func snmpdPass() Scenario {
	return Scenario{
		Name:   "snmpd-pass",
		Title:  "snmpd waits for a script, and nobody else is answered",
		Server: "snmpd", Language: C, Kind: Hang, Source: Debian, Split: Tune,
		Normal: "managers ask for the system's figures, and now and then for the charge of one of many batteries, which a script says",
		Fault:  "the script has to wait for the battery, 0.4 s each time",
		// agent/mibgroup/ucd-snmp/pass.c: var_extensible_pass has util_funcs.c's
		// get_exec_output start the script, and run_exec_command of libnetsnmpagent waits in
		// select for what it says (5.9.3; gdb).
		Truth:    []string{"var_extensible_pass", "get_exec_output", "run_exec_command"},
		Patterns: []string{"blocked_io", "stuck_call"},
		Start: func(ctx context.Context) (Workload, error) {
			s, script, err := server.StartSnmpd(ctx, upsObject)
			if err != nil {
				return Workload{}, err
			}
			return Workload{
				Server: s,
				Load: load.Config{Workers: 6, Rate: 150, Dial: func() (load.Client, error) {
					c, err := client.DialSNMP(s.Addr, 10*time.Second)
					return snmpManager{c}, err
				}},
				Fault: func(context.Context) (func(), error) {
					return func() {}, server.WriteBattery(script, "sleep 0.4")
				},
			}, nil
		},
	}
}

// snmpManager asks for figures, one time in fifty for the battery's.
type snmpManager struct{ *client.SNMP }

func (c snmpManager) Request(r *rand.Rand) error {
	if r.IntN(50) == 0 {
		return c.Get(fmt.Sprintf("%s.%d", upsObject, 1+r.IntN(1e6))) // what a script said is kept for half a minute
	}
	return c.Get(".1.3.6.1.2.1.1.3.0", ".1.3.6.1.2.1.1.5.0", ".1.3.6.1.2.1.1.6.0", fmt.Sprintf(".1.3.6.1.2.1.1.9.1.2.%d", 1+r.IntN(6)))
}

// privoxyFilter: an expression that looks for its second half to the end of the page, from
// every place that its first half is at.
func privoxyFilter() Scenario {
	return Scenario{
		Name:   "privoxy-filter",
		Title:  "privoxy's filter looks for what no page has",
		Server: "privoxy", Language: C, Kind: Computation, Source: Debian, Split: Tune,
		Normal: "pages and rates of an application, in which two expressions change words",
		Fault:  "somebody adds an expression that is to remove advertisements, from a list's entry to its end",
		// filters.c: pcrs_filter_response_body has each expression of a filter matched by
		// pcrs_execute (pcrs.c), which calls pcre_exec of libpcre, and that its
		// _pcre_jit_exec. All but pcre_exec have no names in Debian's binaries and are shown
		// by where they start (3.0.34-1, libpcre3 8.39; perf, readelf); what libpcre
		// compiles has neither name nor file.
		Truth:    []string{"pcre_exec", "privoxy+0x3bc50", "privoxy+0x260a0", "libpcre.so.3.13.3+0x29f20"},
		Patterns: []string{"long_computation"},
		Start: func(ctx context.Context) (Workload, error) {
			a, err := startApplication()
			if err != nil {
				return Workload{}, err
			}
			s, err := server.StartPrivoxy(ctx)
			if err != nil {
				return stopApplication(err, a)
			}
			return Workload{
				Server: s,
				Load:   proxiedPages(s, a),
				Fault: func(context.Context) (func(), error) {
					return func() {}, server.ChangePrivoxy(s, `s/<li>one.*of.*advertisement//gs`)
				},
				Stop: a.stop,
			}, nil
		},
	}
}

// proxiedPages are an application's pages, asked for through a proxy.
func proxiedPages(s *server.Server, a *application) load.Config {
	c := httpLoad(8, 40, func(r *rand.Rand) (*http.Request, error) {
		what := "page"
		if r.IntN(2) == 0 {
			what = "rate"
		}
		return rackRequest("http://" + a.addr + "/app/" + what) // a filter is read anew for a new connection
	})
	dial := c.Dial
	c.Dial = func() (load.Client, error) {
		made, err := dial()
		if requests, ok := made.(httpRequests); ok {
			requests.http.Transport.(*http.Transport).Proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: s.Addr})
		}
		return made, err
	}
	return c
}

const influxIndex = "github.com/influxdata/influxdb/tsdb/index/inmem."

// influxPattern: a condition on a tag by an expression is tried on every value of it.
func influxPattern() Scenario {
	return Scenario{
		Name:   "influxdb-pattern",
		Title:  "influxdb tries an expression on 20,000 values of a tag",
		Server: "influxdb", Language: Go, Kind: Computation, Source: Debian, Split: Tune,
		Normal: "points of 20,000 sensors are written, and the last of one read",
		Fault:  "six people have a dashboard whose sensors are chosen by an expression that few match",
		// tsdb/index/inmem/meta.go: idsForExpr tries each value that Range goes through;
		// ids sorts the series of one (1.6.7; its own CPU profile).
		Truth: []string{
			influxIndex + "(*measurement).idsForExpr", influxIndex + "(*measurement).idsForExpr.func5",
			influxIndex + "(*tagKeyValue).Range", influxIndex + "(*tagKeyValue).RangeAll", influxIndex + "(*tagKeyValue).RangeAll.func1",
			influxIndex + "(*tagKeyValueEntry).ids",
		},
		Patterns: []string{"long_computation"},
		Start: func(ctx context.Context) (Workload, error) {
			s, err := server.StartInflux(ctx)
			if err != nil {
				return Workload{}, err
			}
			if err := fillInflux(ctx, s.Addr, 20_000); err != nil {
				return stopAfter(err, s)
			}
			return Workload{
				Server: s,
				Load: httpLoad(6, 120, func(r *rand.Rand) (*http.Request, error) {
					sensor := r.IntN(20_000)
					if r.IntN(3) == 0 {
						return influxQuery(s.Addr, fmt.Sprintf("SELECT last(value) FROM heat WHERE sensor = 's%d-room'", sensor))
					}
					return influxWrite(s.Addr, []string{fmt.Sprintf("heat,sensor=s%d-room value=%d", sensor, r.IntN(40))})
				}),
				Fault: func(ctx context.Context) (func(), error) {
					return pesterMany(ctx, 6, 200*time.Millisecond, func() (*http.Request, error) {
						return influxQuery(s.Addr, "SELECT last(value) FROM heat WHERE sensor =~ /^s.*7.*77-cellar$/")
					}), nil
				},
			}, nil
		},
	}
}

func influxQuery(addr, query string) (*http.Request, error) {
	return http.NewRequest(http.MethodGet, "http://"+addr+"/query?db=house&q="+url.QueryEscape(query), nil)
}

func influxWrite(addr string, points []string) (*http.Request, error) {
	return http.NewRequest(http.MethodPost, "http://"+addr+"/write?db=house", strings.NewReader(strings.Join(points, "\n")))
}

// fillInflux makes the database and one point of each sensor.
func fillInflux(ctx context.Context, addr string, sensors int) error {
	request, err := http.NewRequest(http.MethodPost, "http://"+addr+"/query?q="+url.QueryEscape("CREATE DATABASE house"), nil)
	if err == nil {
		err = send(ctx, http.DefaultClient, request)
	}
	for from := 0; err == nil && from < sensors; from += 2000 {
		var points []string
		for i := from; i < min(from+2000, sensors); i++ {
			points = append(points, fmt.Sprintf("heat,sensor=s%d-room value=%d", i, i%40))
		}
		if request, err = influxWrite(addr, points); err == nil {
			err = send(ctx, http.DefaultClient, request)
		}
	}
	return err
}
