package scenario

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/perfscope/perfscope/testbed/load"
	"github.com/perfscope/perfscope/testbed/server"
)

// thirdScripts are mistakes in interpreted languages.
func thirdScripts() []Scenario {
	return []Scenario{cellarModels(), lodgeStore(), errandsQueue(), metersMerge()}
}

// getting asks a server for paths.
func getting(workers int, rate float64, addr string, path func(r *rand.Rand) string) load.Config {
	return httpLoad(workers, rate, func(r *rand.Rand) (*http.Request, error) {
		return http.NewRequest(http.MethodGet, "http://"+addr+path(r), nil)
	})
}

// pesterPath asks a server for one path over and over.
func pesterPath(ctx context.Context, many int, every time.Duration, addr, path string) func() {
	return pesterMany(ctx, many, every, func() (*http.Request, error) {
		return http.NewRequest(http.MethodGet, "http://"+addr+path, nil)
	})
}

// cellarModels: what a path operation returns is validated and encoded item by item, in the
// event loop if it is async: https://github.com/tiangolo/fastapi/issues/1224.
func cellarModels() Scenario {
	return Scenario{
		Name:   "cellar-models",
		Title:  "FastAPI checks and copies 1,500 models in the event loop",
		Server: "cellar", Language: Python, Kind: Computation, Source: Debian, Split: Tune,
		Normal: "shelves of one to four bottles, and a plan, under uvicorn",
		Fault:  "a merchant looks at a shelf of 1,500 bottles, over and over",
		// fastapi/routing.py (serialize_response), encoders.py (jsonable_encoder), and who
		// returns so many (apps/cellar/cellar.py).
		Truth: []string{
			"serialize_response", "jsonable_encoder", "_prepare_response_content", "show_shelf",
			"cellar.show_shelf", "fastapi.encoders.jsonable_encoder", "fastapi.routing.serialize_response",
		},
		Patterns: []string{"long_computation"},
		Start: func(ctx context.Context) (Workload, error) {
			s, err := server.StartCellar(ctx)
			if err != nil {
				return Workload{}, err
			}
			return Workload{
				Server: s,
				Load: getting(6, 60, s.Addr, func(r *rand.Rand) string {
					if r.IntN(4) == 0 {
						return "/"
					}
					return fmt.Sprintf("/shelves/%d/%d", r.IntN(90), 1+r.IntN(4))
				}),
				Fault: func(ctx context.Context) (func(), error) {
					return pesterPath(ctx, 2, 200*time.Millisecond, s.Addr, "/shelves/7/1500"), nil
				},
			}, nil
		},
	}
}

// lodgeStore: a transaction of PStore reads, checks and writes all of its file:
// https://docs.ruby-lang.org/en/3.1/PStore.html.
func lodgeStore() Scenario {
	return Scenario{
		Name:   "lodge-store",
		Title:  "Ruby writes the whole store for each guest, under WEBrick",
		Server: "lodge", Language: Ruby, Kind: Computation, Source: Own, Split: Tune,
		Normal: "guests come now and then, eighty different ones, and rooms are shown",
		Fault:  "coaches have brought 12,000 guests, and the usual ones still come",
		// pstore.rb: transaction has load_data (load) and save_data (dump) called; apps/lodge/server.rb
		// is who keeps guests so. The functions of C that read and write objects are marshal.c's.
		Truth: []string{
			"Lodge#check_in", "check_in", "PStore#transaction", "transaction", "PStore#load_data", "load_data",
			"PStore#save_data", "save_data", "PStore#load", "load", "PStore#dump", "dump",
			"PStore#open_and_lock_file", "PStore#save_data_with_atomic_file_rename_strategy", "Marshal.load", "Marshal.dump",
			"rb_marshal_load", "rb_marshal_dump", "rb_marshal_load_with_proc", "marshal_load", "marshal_dump",
		},
		Patterns: []string{"long_computation", "lock_wait"},
		Start: func(ctx context.Context) (Workload, error) {
			s, err := server.StartLodge(ctx)
			if err != nil {
				return Workload{}, err
			}
			return Workload{
				Server: s,
				Load: getting(6, 50, s.Addr, func(r *rand.Rand) string {
					if r.IntN(4) == 0 {
						return fmt.Sprintf("/guests/%d", r.IntN(80))
					}
					return "/rooms"
				}),
				Fault: func(ctx context.Context) (func(), error) {
					request, err := http.NewRequest(http.MethodGet, "http://"+s.Addr+"/coaches/1000/12000", nil)
					if err != nil {
						return nil, err
					}
					return func() {}, send(ctx, http.DefaultClient, request)
				},
			}, nil
		},
	}
}

// errandsQueue: to shift a large array moves it:
// https://bugs.chromium.org/p/v8/issues/detail?id=3059.
func errandsQueue() Scenario {
	return Scenario{
		Name:   "errands-queue",
		Title:  "Node takes the first of an array of 300,000",
		Server: "errands", Language: Node, Kind: Computation, Source: Own, Split: Tune,
		Normal: "errands are added and taken five at a time, and streets planned; few wait",
		Fault:  "somebody wants 300,000 errands done",
		// apps/errands/server.js.
		Truth:    []string{"takeErrands"},
		Patterns: []string{"long_computation"},
		Start: func(ctx context.Context) (Workload, error) {
			s, err := server.StartNode(ctx, "errands")
			if err != nil {
				return Workload{}, err
			}
			return Workload{
				Server: s,
				Load: getting(6, 120, s.Addr, func(r *rand.Rand) string {
					switch r.IntN(4) {
					case 0:
						return "/add/5"
					case 1:
						return "/take/5"
					}
					return fmt.Sprintf("/plan/%d", r.IntN(700))
				}),
				Fault: func(ctx context.Context) (func(), error) {
					request, err := http.NewRequest(http.MethodGet, "http://"+s.Addr+"/add/300000", nil)
					if err != nil {
						return nil, err
					}
					return func() {}, send(ctx, http.DefaultClient, request)
				},
				Stop: func() { server.RemovePerfMap(s) },
			}, nil
		},
	}
}

// metersMerge: array_merge in a loop copies what there is each time:
// https://github.com/kalessil/phpinspectionsea/blob/master/docs/performance.md#slow-array-function-used-in-loop.
func metersMerge() Scenario {
	return Scenario{
		Name:   "meters-merge",
		Title:  "PHP copies all it has for each part that is added",
		Server: "meters", Language: PHP, Kind: Computation, Source: Own, Split: Tune,
		Normal: "readings of one to five meters, and what months cost, on PHP's own server",
		Fault:  "an estate asks for the readings of 1,200 meters, three times a second",
		// apps/meters/router.php; array_merge is PHP's own.
		Truth:    []string{"gather_readings", "array_merge", "zif_array_merge"},
		Patterns: []string{"long_computation"},
		Start: func(ctx context.Context) (Workload, error) {
			s, err := server.StartMeters(ctx)
			if err != nil {
				return Workload{}, err
			}
			c := getting(4, 80, s.Addr, func(r *rand.Rand) string {
				if r.IntN(2) == 0 {
					return fmt.Sprintf("/readings/%d/%d", r.IntN(900), 1+r.IntN(5))
				}
				return fmt.Sprintf("/months/%d", r.IntN(900))
			})
			return Workload{
				Server: s, Load: c,
				Fault: func(ctx context.Context) (func(), error) {
					return pesterPath(ctx, 1, 300*time.Millisecond, s.Addr, "/readings/100/1200"), nil
				},
			}, nil
		},
	}
}
