package scenario

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync/atomic"

	"github.com/perfscope/perfscope/testbed/server"
)

// menuUnknown: i18n 0.8.3 writes the file of a language whenever it meets a text
// that is not in it, synchronously:
// https://github.com/mashpie/i18n-node/issues/266.
func menuUnknown() Scenario {
	return Scenario{
		Name:   "menu-unknown",
		Title:  "i18n writes a file of texts for every one that it does not know",
		Server: "menu", Language: Node, Kind: SyncWrite, Source: NPM, Split: Tune,
		Normal: "pages in two languages, of 6,000 dishes that are translated; Node runs without any flag, so that nothing names its functions",
		Fault:  "new dishes are on the menu that nobody has translated: one request in three is for another of them",
		// i18n/i18n.js: write. Without names what it calls is as good: it
		// writes a file beside the old one and renames it.
		Truth:    []string{"write", "rename", "uv_fs_rename", "uv_fs_write", "node::fs::WriteString", "node::fs::Rename"},
		Patterns: []string{"sync_write_per_operation", "long_computation"},
		Start: func(ctx context.Context) (Workload, error) {
			s, err := server.StartPlainNode(ctx, "menu")
			if err != nil {
				return Workload{}, err
			}
			var fresh atomic.Bool
			var dishes atomic.Int64
			return Workload{
				Server: s,
				Load: httpLoad(8, 150, func(r *rand.Rand) (*http.Request, error) {
					dish := fmt.Sprintf("dish%%20%d", r.IntN(6000))
					if fresh.Load() && r.IntN(3) == 0 {
						dish = fmt.Sprintf("special%%20%d", dishes.Add(1))
					}
					request, err := http.NewRequest(http.MethodGet, "http://"+s.Addr+"/dishes/"+dish, nil)
					if err == nil && r.IntN(2) == 0 {
						request.Header.Set("Accept-Language", "de")
					}
					return request, err
				}),
				Fault: func(context.Context) (func(), error) {
					fresh.Store(true)
					return func() {}, nil
				},
			}, nil
		},
	}
}
