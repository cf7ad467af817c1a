package scenario

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/perfscope/perfscope/testbed/server"
)

const etcdKeys = 40_000

// etcdDefragment: the database is copied into a new file while nobody may read
// or write.
func etcdDefragment() Scenario {
	return Scenario{
		Name:   "etcd-defragment",
		Title:  "etcd defragments its database again and again, and nobody reads meanwhile",
		Server: "etcd", Language: Go, Kind: LockConvoy, Source: Debian, Split: Report,
		Normal: "40,000 objects of 2 kB are read, listed by twenty and updated",
		Fault:  "automation defragments when the database is above 50 MB; the data has outgrown that, so that it does at each of its rounds, two seconds after the last",
		// https://etcd.io/docs/v3.4/op-guide/maintenance/#defragmentation
		// ("blocks the system from reading and writing data while rebuilding
		// its states"); mvcc/backend/backend.go at v3.4.23: defrag takes the
		// locks of the batch, of the backend and of its reads, and defragdb
		// copies key by key. The others wait in a mutex of Go's, which no
		// thread is seen in.
		Truth: []string{
			etcdBackend + "(*backend).defrag", etcdBackend + "(*backend).Defrag", etcdBackend + "defragdb",
		},
		Patterns: []string{"lock_wait", "blocked_io", "long_computation"},
		Start: func(ctx context.Context) (Workload, error) {
			s, err := server.StartEtcd(ctx)
			if err != nil {
				return Workload{}, err
			}
			if err := fillEtcd(ctx, s.Addr); err != nil {
				return stopAfter(err, s)
			}
			return Workload{
				Server: s,
				Load: httpLoad(12, 200, func(r *rand.Rand) (*http.Request, error) {
					i := r.IntN(etcdKeys)
					switch n := r.IntN(20); {
					case n < 3:
						return postJSON("http://"+s.Addr+"/v3/kv/put", etcdPut(i))
					case n < 6:
						return postJSON("http://"+s.Addr+"/v3/kv/range", map[string]any{"key": etcdKey(i), "range_end": etcdKey(etcdKeys), "limit": 20})
					}
					return postJSON("http://"+s.Addr+"/v3/kv/range", map[string]any{"key": etcdKey(i)})
				}),
				Fault: func(ctx context.Context) (func(), error) {
					return pester(ctx, 2*time.Second, func() (*http.Request, error) {
						return postJSON("http://"+s.Addr+"/v3/maintenance/defragment", struct{}{})
					}), nil
				},
			}, nil
		},
	}
}

const etcdBackend = "go.etcd.io/etcd/mvcc/backend."

func etcdKey(i int) []byte { return fmt.Appendf(nil, "/registry/pods/%08d", i) }

// etcdPut is a request that stores an object; JSON has bytes in base64.
func etcdPut(i int) map[string]any {
	return map[string]any{"key": etcdKey(i), "value": bytes.Repeat(fmt.Appendf(nil, "%08d", i), 256)}
}

// fillEtcd stores every object, as many at a time as a transaction may have.
func fillEtcd(ctx context.Context, addr string) error {
	c := &http.Client{Timeout: 10 * time.Second}
	defer c.CloseIdleConnections()
	var puts []map[string]any
	for i := range etcdKeys {
		puts = append(puts, map[string]any{"request_put": etcdPut(i)})
		if len(puts) < 100 && i < etcdKeys-1 {
			continue
		}
		request, err := postJSON("http://"+addr+"/v3/kv/txn", map[string]any{"success": puts})
		if err == nil {
			err = send(ctx, c, request)
		}
		if err != nil {
			return err
		}
		puts = puts[:0]
	}
	return nil
}
