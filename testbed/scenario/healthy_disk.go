package scenario

import (
	"context"
	"path/filepath"
	"time"

	"github.com/perfscope/perfscope/testbed/load"
	"github.com/perfscope/perfscope/testbed/server"
)

// neighbourAccounts are enough that to copy them takes seconds of both processors.
const neighbourAccounts = 1_000_000

// postgresBesideNginx: two servers on one disk, and what an administrator does to
// such a machine every night.
func postgresBesideNginx() Scenario {
	var s, web *server.Server
	return Scenario{
		Name:   "postgres-healthy-neighbour",
		Title:  "a healthy postgres and a healthy nginx share a disk with a backup",
		Server: "postgres", Language: C, Source: Debian, Beside: []string{"nginx"},
		Normal: "six clients make payments and look at accounts, every commit waits for the disk; nginx serves files beside it",
		Steps: []Step{
			learning(),
			{Say: "CHECKPOINT", Do: func(context.Context) (func(), error) { return nil, postgresDo(s, "CHECKPOINT") }, For: 20 * time.Second},
			{Say: "VACUUM ANALYZE", Do: func(context.Context) (func(), error) { return nil, postgresDo(s, "VACUUM ANALYZE") }, For: 20 * time.Second},
			{Say: "pg_dump of the database", Do: func(ctx context.Context) (func(), error) { return nil, dumpPostgres(ctx, s) }, For: 20 * time.Second},
			{
				Say: "tar of both servers' files, every ten seconds",
				Do: func(ctx context.Context) (func(), error) {
					return meanwhile(ctx, func(ctx context.Context) {
						every(ctx, 10*time.Second, func() {
							// tar says that files changed while it read them.
							_ = web.RunTool(ctx, []string{"tar"}, "-czf", filepath.Join(web.Dir, "backup.tar.gz"),
								filepath.Join(web.Dir, "www"), filepath.Join(s.Dir, "data", "base"))
						})
					}), nil
				},
				For: 30 * time.Second,
			},
			{Say: "nothing more", For: 20 * time.Second},
		},
		Start: func(ctx context.Context) (Workload, error) {
			var err error
			if web, err = server.StartNginx(ctx); err != nil {
				return Workload{}, err
			}
			if s, err = startShop(ctx, neighbourAccounts); err != nil {
				_ = web.Stop() // it held nothing that matters
				return Workload{}, err
			}
			visitors := load.Start(ctx, nginxLoad(web))
			return Workload{
				Server: s, Beside: []*server.Server{web}, Load: shopLoad(s, 400, paymentRequest(neighbourAccounts)),
				Stop: func() { visitors.Stop(); _ = web.Stop() },
			}, nil
		},
	}
}
