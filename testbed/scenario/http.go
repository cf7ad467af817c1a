package scenario

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/perfscope/perfscope/testbed/load"
)

// httpLoad sends what next makes, over one connection per worker that is kept
// alive. An answer of 500 or above is a failure.
func httpLoad(workers int, rate float64, next func(r *rand.Rand) (*http.Request, error)) load.Config {
	return load.Config{
		Workers: workers,
		Rate:    rate,
		Dial: func() (load.Client, error) {
			return httpRequests{
				next: next,
				http: &http.Client{
					Transport: &http.Transport{MaxConnsPerHost: 1, DisableCompression: true},
					Timeout:   30 * time.Second,
				},
			}, nil
		},
	}
}

type httpRequests struct {
	next func(r *rand.Rand) (*http.Request, error)
	http *http.Client
}

func (c httpRequests) Request(r *rand.Rand) error {
	request, err := c.next(r)
	if err != nil {
		return err
	}
	response, err := c.http.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return err
	}
	if response.StatusCode >= http.StatusInternalServerError {
		return fmt.Errorf("%s: %s", request.URL.Path, response.Status)
	}
	return nil
}

func (c httpRequests) Close() error {
	c.http.CloseIdleConnections()
	return nil
}
