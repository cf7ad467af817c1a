package scenario

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"

	"github.com/perfscope/perfscope/testbed/server"
)

func apache() []Scenario {
	return []Scenario{apacheReport(), apacheListing(), apacheUpload(), apacheRewrite()}
}

// fileRequest asks for a file; one in fifty is missing, one in twenty ends its
// connection.
func fileRequest(addr string, r *rand.Rand) (*http.Request, error) {
	file := r.IntN(server.NginxFiles)
	if r.IntN(50) == 0 {
		file = server.NginxFiles + 1
	}
	request, err := http.NewRequest(http.MethodGet, fmt.Sprintf("http://%s/%d.bin", addr, file), nil)
	if err == nil {
		request.Close = r.IntN(20) == 0
	}
	return request, err
}

// stopApplication stops the application when the server did not come up.
func stopApplication(err error, a *application) (Workload, error) {
	a.stop()
	return Workload{}, err
}

// appRequest is one of the application's requests but the report.
func appRequest(addr string, r *rand.Rand) (*http.Request, error) {
	if r.IntN(4) == 0 {
		return upload(addr, 1<<(8+r.IntN(6)))
	}
	return http.NewRequest(http.MethodGet, "http://"+addr+"/app/page", nil)
}

// stopAfter stops the server when the rest of a start failed.
func stopAfter(err error, s *server.Server) (Workload, error) {
	return Workload{}, errors.Join(err, s.Stop())
}
