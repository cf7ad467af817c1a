package scenario

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/perfscope/perfscope/testbed/load"
	"github.com/perfscope/perfscope/testbed/server"
)

// nginxHealthy: nothing is wrong, there is only more to do for a while.
func nginxHealthy() Scenario {
	return Scenario{
		Name:   "nginx-healthy",
		Title:  "a healthy nginx through load steps",
		Server: "nginx", Language: C, Source: Debian,
		Normal: "two workers serve files of 1 to 256 KiB",
		Steps: []Step{
			learning(),
			{Factor: 5, For: 35 * time.Second},
			{Factor: 1, For: 30 * time.Second},
		},
		Start: func(ctx context.Context) (Workload, error) {
			s, err := server.StartNginx(ctx)
			if err != nil {
				return Workload{}, err
			}
			return Workload{Server: s, Load: nginxLoad(s)}, nil
		},
	}
}

// nginxReload: what an administrator and logrotate do to a web server.
func nginxReload() Scenario {
	var s *server.Server
	reload := func(context.Context) (func(), error) { return nil, s.Signal(syscall.SIGHUP) }
	rotate := func(context.Context) (func(), error) {
		log := filepath.Join(s.Dir, "access.log")
		if err := os.Rename(log, log+".1"); err != nil {
			return nil, err
		}
		return nil, s.Signal(syscall.SIGUSR1)
	}
	return Scenario{
		Name:   "nginx-healthy-reload",
		Title:  "a healthy nginx is reloaded twice and its log is rotated",
		Server: "nginx", Language: C, Source: Debian,
		Normal: "two workers serve files of 1 to 256 KiB",
		Steps: []Step{
			learning(),
			{Say: "reload (SIGHUP): new workers, the old ones end", Do: reload, For: 25 * time.Second},
			{Say: "the access log is renamed and reopened (SIGUSR1)", Do: rotate, For: 15 * time.Second},
			{Say: "reload again", Do: reload, For: 25 * time.Second},
		},
		Start: func(ctx context.Context) (Workload, error) {
			var err error
			if s, err = server.StartNginx(ctx); err != nil {
				return Workload{}, err
			}
			return Workload{Server: s, Load: nginxLoad(s)}, nil
		},
	}
}

// nginxLoad fetches files of all sizes; one in fifty is missing, one in twenty
// ends its connection, as with real clients.
func nginxLoad(s *server.Server) load.Config {
	return httpLoad(8, 150, func(r *rand.Rand) (*http.Request, error) {
		file := r.IntN(server.NginxFiles)
		if r.IntN(50) == 0 {
			file = server.NginxFiles + 1
		}
		request, err := http.NewRequest(http.MethodGet, fmt.Sprintf("http://%s/%d.bin", s.Addr, file), nil)
		if err != nil {
			return nil, err
		}
		request.Close = r.IntN(20) == 0
		return request, nil
	})
}
