package scenario

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/perfscope/perfscope/testbed/load"
	"github.com/perfscope/perfscope/testbed/server"
)

// goCollects: garbage is collected all the time, and more of it while a new
// catalogue takes the old one's place.
func goCollects() Scenario {
	var s *server.Server
	renew := func(ctx context.Context) (func(), error) { return nil, importCatalogue(ctx, s) }
	return Scenario{
		Name:   "go-healthy-gc",
		Title:  "a healthy Go server collects its garbage",
		Server: "catalog", Language: Go, Source: Own,
		Normal: "product pages, searches and orders under a steady load; a collection every two or three seconds",
		Steps: []Step{
			learning(),
			{Say: "nothing happens", For: 30 * time.Second},
			{Say: "a new catalogue is imported, the old one becomes garbage", Do: renew, For: 20 * time.Second},
			{Say: "once more", Do: renew, For: 15 * time.Second},
		},
		Start: func(ctx context.Context) (Workload, error) {
			var err error
			if s, err = server.StartCatalog(ctx); err != nil {
				return Workload{}, err
			}
			return Workload{Server: s, Load: catalogLoad(s)}, nil
		},
	}
}

func importCatalogue(ctx context.Context, s *server.Server) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.Addr+"/admin/import", nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("import: %s", response.Status)
	}
	return nil
}

// catalogLoad looks at products, searches and orders; one product in fifty
// does not exist.
func catalogLoad(s *server.Server) load.Config {
	words := strings.Fields("red blue green small large heavy light round chair table lamp shelf bed sofa desk mirror")
	materials := strings.Fields("oak pine steel glass wool linen copper stone")
	return httpLoad(8, 300, func(r *rand.Rand) (*http.Request, error) {
		base := "http://" + s.Addr
		switch r.IntN(10) {
		case 0, 1, 2:
			query := url.Values{}
			query.Set("q", words[r.IntN(len(words))]+" "+materials[r.IntN(len(materials))])
			query.Set("offset", fmt.Sprint(50*r.IntN(4)))
			return http.NewRequest(http.MethodGet, base+"/search?"+query.Encode(), nil)
		case 3:
			body := fmt.Sprintf(`{"customer":"c%d","items":[{"product":%d,"count":1},{"product":%d,"count":2}]}`, r.IntN(1000), r.IntN(20_000), r.IntN(20_000))
			return http.NewRequest(http.MethodPost, base+"/order", strings.NewReader(body))
		default:
			return http.NewRequest(http.MethodGet, fmt.Sprintf("%s/product/%d", base, r.IntN(20_400)), nil)
		}
	})
}
