package scenario

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/perfscope/perfscope/testbed/server"
)

const registryImages = 200

// registryCatalog: the list of repositories is read from the directories of all of
// them.
func registryCatalog() Scenario {
	const distribution = "github.com/docker/distribution/registry/"
	return Scenario{
		Name:   "registry-catalog",
		Title:  "a registry walks through all its directories to list its repositories",
		Server: "registry", Language: Go, Kind: TinyIO, Source: Debian, Split: Report,
		Normal: "machines pull the manifests and layers of 200 repositories",
		Fault:  "four scanners go through the catalog all the time, fifty names at a time",
		// https://github.com/distribution/distribution/issues/2906 ("catalog
		// is slow"); registry/storage/catalog.go at v2.8.2: Repositories walks
		// the whole tree with WalkFallback, a stat for each entry, and stops
		// when the page is full, from the beginning for each page.
		Truth: []string{
			distribution + "storage.(*registry).Repositories", distribution + "storage.(*registry).Repositories.func1",
			distribution + "handlers.(*catalogHandler).GetCatalog",
			distribution + "storage/driver.WalkFallback", distribution + "storage/driver.doWalkFallback",
		},
		Patterns: []string{"tiny_io"},
		Start: func(ctx context.Context) (Workload, error) {
			s, err := server.StartRegistry(ctx)
			if err != nil {
				return Workload{}, err
			}
			layer, err := pushImages(ctx, "http://"+s.Addr+"/v2/")
			if err != nil {
				return stopAfter(err, s)
			}
			return Workload{
				Server: s,
				Load: httpLoad(6, 50, func(r *rand.Rand) (*http.Request, error) {
					of := "http://" + s.Addr + "/v2/" + repository(r.IntN(registryImages))
					if r.IntN(3) == 0 {
						return http.NewRequest(http.MethodGet, of+"/blobs/"+layer, nil)
					}
					request, err := http.NewRequest(http.MethodGet, of+"/manifests/latest", nil)
					if err == nil {
						request.Header.Set("Accept", manifestType)
					}
					return request, err
				}),
				Fault: func(ctx context.Context) (func(), error) {
					var ends []func()
					for page := range 4 {
						ends = append(ends, pester(ctx, time.Millisecond, func() (*http.Request, error) {
							page++
							return http.NewRequest(http.MethodGet, fmt.Sprintf("http://%s/v2/_catalog?n=50&last=%s", s.Addr, repository(page%4*50)), nil)
						}))
					}
					return func() {
						for _, end := range ends {
							end()
						}
					}, nil
				},
			}, nil
		},
	}
}

const manifestType = "application/vnd.docker.distribution.manifest.v2+json"

func repository(i int) string { return fmt.Sprintf("team-%02d/image-%03d", i/20, i) }

// pushImages fills every repository with an image of one layer, which it returns.
func pushImages(ctx context.Context, api string) (layer string, err error) {
	c := &http.Client{Timeout: 10 * time.Second}
	defer c.CloseIdleConnections()
	blob := bytes.Repeat([]byte("layer"), 20_000)
	layer = fmt.Sprintf("sha256:%x", sha256.Sum256(blob))
	manifest := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/vnd.docker.container.image.v1+json","size":%d,"digest":%q},"layers":[]}`,
		manifestType, len(blob), layer)
	for i := range registryImages {
		upload, err := uploadLocation(ctx, c, api+repository(i)+"/blobs/uploads/")
		if err != nil {
			return "", err
		}
		for _, put := range []struct {
			url, kind string
			body      []byte
		}{
			{upload + "&digest=" + layer, "application/octet-stream", blob},
			{api + repository(i) + "/manifests/latest", manifestType, []byte(manifest)},
		} {
			request, err := http.NewRequest(http.MethodPut, put.url, bytes.NewReader(put.body))
			if err != nil {
				return "", err
			}
			request.Header.Set("Content-Type", put.kind)
			if err := send(ctx, c, request); err != nil {
				return "", err
			}
		}
	}
	return layer, nil
}

func uploadLocation(ctx context.Context, c *http.Client, url string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, nil)
	if err != nil {
		return "", err
	}
	response, err := c.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusAccepted {
		return "", fmt.Errorf("%s: %s", url, response.Status)
	}
	return response.Header.Get("Location"), nil
}
