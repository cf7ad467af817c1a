package scenario

import (
	"context"
	"fmt"
	"io"
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

// nginxLoad fetches files of all sizes.
func nginxLoad(s *server.Server) load.Config {
	return load.Config{
		Workers: 8,
		Rate:    150,
		Dial: func() (load.Client, error) {
			return httpClient{
				base: "http://" + s.Addr,
				http: &http.Client{
					Transport: &http.Transport{MaxConnsPerHost: 1, DisableCompression: true},
					Timeout:   30 * time.Second,
				},
			}, nil
		},
	}
}

type httpClient struct {
	base string
	http *http.Client
}

// Request fetches a file; one in fifty is missing, one in twenty ends its
// connection, as with real clients.
func (c httpClient) Request(r *rand.Rand) error {
	file := r.IntN(server.NginxFiles)
	if r.IntN(50) == 0 {
		file = server.NginxFiles + 1
	}
	request, err := http.NewRequest(http.MethodGet, fmt.Sprintf("%s/%d.bin", c.base, file), nil)
	if err != nil {
		return err
	}
	request.Close = r.IntN(20) == 0
	response, err := c.http.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return err
}

func (c httpClient) Close() error {
	c.http.CloseIdleConnections()
	return nil
}
