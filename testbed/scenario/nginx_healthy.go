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

// nginxHealthy: nothing is wrong, there is only more to do for a while.
func nginxHealthy() Scenario {
	return Scenario{
		Name:   "nginx-healthy",
		Title:  "a healthy nginx through load steps",
		Normal: "two workers serve files of 1 to 256 KiB",
		Steps: []Step{
			{Factor: 1, For: 100 * time.Second},
			{Factor: 3, For: 100 * time.Second},
			{Factor: 1, For: 100 * time.Second},
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
