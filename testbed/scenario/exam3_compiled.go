package scenario

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"time"

	"github.com/perfscope/perfscope/testbed/server"
)

// thirdCompiled are mistakes in compiled languages.
func thirdCompiled() []Scenario {
	return []Scenario{harbourDebug(), granarySoft(), abbeyLists(), lighthouseEnd()}
}

// harbourDebug: the arguments of a logger are made although its level is off:
// https://pkg.go.dev/log/slog#hdr-Performance_considerations.
func harbourDebug() Scenario {
	return Scenario{
		Name:   "harbour-debug",
		Title:  "a Go server makes a text for a log that is off, with a lock held",
		Server: "harbour", Language: Go, Kind: Allocation, Source: Own, Split: Tune,
		Normal: "containers of shippers who have five to fourteen are booked, and ships shown",
		Fault:  "a shipper of 600 containers books some, twenty a second",
		// apps/harbour/main.go: who has the text made, and who makes it.
		Truth:    []string{"main.(*harbour).book", "main.list"},
		Patterns: []string{"long_computation", "lock_wait"},
		Start: func(ctx context.Context) (Workload, error) {
			s, err := server.StartGoApp(ctx, "harbour")
			if err != nil {
				return Workload{}, err
			}
			post := func(path string) (*http.Request, error) {
				return http.NewRequest(http.MethodPost, "http://"+s.Addr+path, nil)
			}
			return Workload{
				Server: s,
				Load: httpLoad(8, 200, func(r *rand.Rand) (*http.Request, error) {
					if r.IntN(2) == 0 {
						return http.NewRequest(http.MethodGet, fmt.Sprintf("http://%s/ships/%d", s.Addr, r.IntN(90)), nil)
					}
					return post(fmt.Sprintf("/bookings/%d/%d", r.IntN(200), r.IntN(90)))
				}),
				Fault: func(ctx context.Context) (func(), error) {
					request, err := post("/containers/900/600")
					if err == nil {
						err = send(ctx, http.DefaultClient, request)
					}
					if err != nil {
						return nil, err
					}
					return pester(ctx, 50*time.Millisecond, func() (*http.Request, error) {
						return post(fmt.Sprintf("/bookings/900/%d", rand.IntN(600)))
					}), nil
				},
			}, nil
		},
	}
}

// granarySoft: what soft references keep goes only when there is no memory left, so that
// collections become many and long:
// https://bugs.openjdk.org/browse/JDK-6912889 and its kin.
func granarySoft() Scenario {
	return Scenario{
		Name:   "granary-soft",
		Title:  "a Java server's cache has the heap full, and its collector at work",
		Server: "granary", Language: Java, Kind: Allocation, Source: Own, Split: Tune,
		Normal: "samples of 200 are asked for again and again, and fields shown",
		Fault:  "twelve programs ask for every sample there is",
		// apps/granary/src/granary/Samples.java.
		Truth:    []string{"granary.Samples.find", "granary.Samples.weigh", "granary.Samples.show"},
		Patterns: []string{"long_computation", "memory_map_churn"},
		Start: func(ctx context.Context) (Workload, error) {
			s, err := server.StartGranary(ctx)
			if err != nil {
				return Workload{}, err
			}
			return Workload{
				Server: s,
				Load: getting(8, 150, s.Addr, func(r *rand.Rand) string {
					if r.IntN(2) == 0 {
						return fmt.Sprintf("/fields/%d", r.IntN(900))
					}
					return fmt.Sprintf("/samples/%d", r.IntN(200))
				}),
				Fault: func(ctx context.Context) (func(), error) {
					return pesterMany(ctx, 12, 5*time.Millisecond, func() (*http.Request, error) {
						return http.NewRequest(http.MethodGet, fmt.Sprintf("http://%s/samples/%d", s.Addr, 1000+rand.IntN(1_000_000)), nil)
					}), nil
				},
			}, nil
		},
	}
}

// abbeyLists: each title is looked for in a list: List.mem,
// https://ocaml.org/manual/4.14/api/List.html.
func abbeyLists() Scenario {
	return Scenario{
		Name:   "abbey-lists",
		Title:  "an OCaml server looks for each of 1,500 titles in a list",
		Server: "abbey", Language: C, Kind: Computation, Source: Own, Split: Tune,
		Normal: "catalogues of ten to thirty titles are joined, and psalms shown",
		Fault:  "two libraries have catalogues of 1,500 titles joined",
		// apps/abbey/abbey.ml, as OCaml 4.13.1 names what it compiles (nm, perf).
		Truth: []string{
			"camlAbbey__join_lists_183", "camlAbbey__catalogue_188", "camlStdlib__List__mem_361",
		},
		Patterns: []string{"long_computation"},
		Start: func(ctx context.Context) (Workload, error) {
			s, err := server.StartAbbey(ctx)
			if err != nil {
				return Workload{}, err
			}
			return Workload{
				Server: s,
				Load: getting(8, 150, s.Addr, func(r *rand.Rand) string {
					if r.IntN(2) == 0 {
						return fmt.Sprintf("/psalms/%d", r.IntN(150))
					}
					return fmt.Sprintf("/catalogue/%d/%d", r.IntN(90), 10+r.IntN(20))
				}),
				Fault: func(ctx context.Context) (func(), error) {
					return pesterPath(ctx, 2, 200*time.Millisecond, s.Addr, "/catalogue/5/1500"), nil
				},
			}, nil
		},
	}
}

// lighthouseEnd: at the end of a stream a read returns nothing, without an error:
// https://tokio.rs/tokio/tutorial/io ("Forgetting to break from the read loop on EOF
// usually results in a 100% CPU infinite loop situation").
func lighthouseEnd() Scenario {
	return Scenario{
		Name:   "lighthouse-end",
		Title:  "a Rust server reads on and on where a stream has ended",
		Server: "lighthouse", Language: Rust, Kind: PollNoSleep, Source: Own, Split: Tune,
		Normal: "a station tells of ten ships a second; the last ones and tides are shown",
		Fault:  "the station ends",
		// apps/lighthouse/main.rs.
		Truth:    []string{"lighthouse::Lighthouse::follow_station"},
		Patterns: []string{"poll_without_sleep", "busy_loop_on_failing_call", "tiny_io"},
		Start: func(ctx context.Context) (Workload, error) {
			station, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				return Workload{}, err
			}
			told, ended := make(chan struct{}), make(chan struct{})
			go func() {
				defer close(ended)
				conn, err := station.Accept()
				if err != nil {
					return
				}
				defer conn.Close()
				for ship := 0; err == nil; ship++ {
					select {
					case <-told:
						return
					case <-time.After(100 * time.Millisecond):
						_, err = fmt.Fprintf(conn, "ship %d\n", ship)
					}
				}
			}()
			s, err := server.StartLighthouse(ctx, station.Addr().String())
			if err != nil {
				_ = station.Close() // nothing was said by it
				return Workload{}, err
			}
			on := true
			stop := func() {
				if on {
					on = false
					close(told)
					<-ended
				}
			}
			return Workload{
				Server: s,
				Load: getting(8, 150, s.Addr, func(r *rand.Rand) string {
					if r.IntN(2) == 0 {
						return "/ships"
					}
					return fmt.Sprintf("/tides/%d", r.IntN(300))
				}),
				Fault: func(context.Context) (func(), error) { stop(); return func() {}, nil },
				Stop:  func() { stop(); _ = station.Close() },
			}, nil
		},
	}
}
