package scenario

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/perfscope/perfscope/testbed/server"
)

const (
	prometheusPaths     = 300
	prometheusCustomers = 60_000
)

// prometheusSearch: a matcher that is a regular expression is tried on every
// value that its label has, for each query anew.
func prometheusSearch() Scenario {
	return Scenario{
		Name:   "prometheus-search",
		Title:  "Prometheus tries a regular expression on 60,000 values of a label for each query",
		Server: "prometheus", Language: Go, Kind: Computation, Source: Debian, Split: Report,
		Normal: "a shop with 60,000 series, one per customer, is scraped every ten seconds; dashboards look at its paths and at single customers",
		Fault:  `a dashboard gets a field to search customers by a part of their name, in upper case or lower, and three people have it open: customer=~"(?i).*ann.*7@.*"`,
		// https://github.com/prometheus/prometheus/blob/v2.42.0/tsdb/querier.go:
		// postingsForMatcher asks for the values of the label and calls
		// Matches for each, which for a pattern that has no literal part to
		// look for (as with (?i)) is regexp.MatchString every time.
		Truth: []string{
			prometheusModule + "tsdb.postingsForMatcher",
			prometheusModule + "model/labels.(*Matcher).Matches", prometheusModule + "model/labels.(*FastRegexMatcher).MatchString",
		},
		Patterns: []string{"long_computation"},
		Start: func(ctx context.Context) (Workload, error) {
			metrics, stop, err := startShopMetrics()
			if err != nil {
				return Workload{}, err
			}
			s, err := server.StartPrometheus(ctx, metrics)
			if err == nil {
				err = awaitCustomers(ctx, s)
			}
			if err != nil {
				stop()
				return Workload{}, err
			}
			return Workload{
				Server: s,
				Load:   httpLoad(8, 120, func(r *rand.Rand) (*http.Request, error) { return shopQuery(s.Addr, r) }),
				Fault: func(ctx context.Context) (func(), error) {
					var ends []func()
					for i := range 3 {
						ends = append(ends, pester(ctx, 100*time.Millisecond, func() (*http.Request, error) {
							return query(s.Addr, fmt.Sprintf(`count(shop_orders_total{customer=~"(?i).*ann.*%d@.*"})`, i))
						}))
					}
					return func() {
						for _, end := range ends {
							end()
						}
					}, nil
				},
				Stop: stop,
			}, nil
		},
	}
}

const prometheusModule = "github.com/prometheus/prometheus/"

// shopQuery is what dashboards ask.
func shopQuery(addr string, r *rand.Rand) (*http.Request, error) {
	path := r.IntN(prometheusPaths)
	switch n := r.IntN(20); {
	case n < 8:
		return query(addr, fmt.Sprintf(`rate(shop_requests_total{path="/page/%d"}[1m])`, path))
	case n < 12:
		return query(addr, fmt.Sprintf(`shop_orders_total{customer=%q}`, customer(r.IntN(prometheusCustomers))))
	case n < 14:
		return query(addr, fmt.Sprintf(`sum(shop_requests_total{path=~"/page/%d.*"})`, path%10))
	case n < 16:
		return query(addr, `topk(5, shop_requests_total)`)
	case n < 19:
		now := time.Now().Unix()
		return http.NewRequest(http.MethodGet, fmt.Sprintf("http://%s/api/v1/query_range?start=%d&end=%d&step=5&query=%s",
			addr, now-300, now, url.QueryEscape(fmt.Sprintf(`shop_requests_total{path="/page/%d"}`, path))), nil)
	}
	return http.NewRequest(http.MethodGet, "http://"+addr+"/api/v1/label/path/values", nil)
}

func query(addr, expression string) (*http.Request, error) {
	return http.NewRequest(http.MethodGet, "http://"+addr+"/api/v1/query?query="+url.QueryEscape(expression), nil)
}

func customer(i int) string {
	names := [...]string{"Anna", "joanne", "Peter", "maria", "Hannes", "Li", "Ivan", "Noor"}
	return fmt.Sprintf("%s.%x.%d@example.com", names[i%len(names)], uint32(i)*2654435761, i)
}

// startShopMetrics serves what the shop counts.
func startShopMetrics() (addr string, stop func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	var orders bytes.Buffer
	for i := range prometheusCustomers {
		fmt.Fprintf(&orders, "shop_orders_total{customer=%q} %d\n", customer(i), i%7)
	}
	var mu sync.Mutex
	scrapes := 0
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		scrapes++
		n := scrapes
		mu.Unlock()
		for i := range prometheusPaths {
			fmt.Fprintf(w, "shop_requests_total{path=\"/page/%d\"} %d\n", i, n*(i+1))
		}
		_, _ = w.Write(orders.Bytes())
	})}
	go func() { _ = s.Serve(l) }()
	return l.Addr().String(), func() { _ = s.Close() }, nil
}

// awaitCustomers returns when the first scrape is in.
func awaitCustomers(ctx context.Context, s *server.Server) error {
	c := &http.Client{Timeout: 10 * time.Second}
	defer c.CloseIdleConnections()
	for range 200 {
		request, err := query(s.Addr, fmt.Sprintf("shop_orders_total{customer=%q}", customer(prometheusCustomers-1)))
		if err != nil {
			return errors.Join(err, s.Stop())
		}
		response, err := c.Do(request.WithContext(ctx))
		if err == nil {
			var body bytes.Buffer
			_, err = body.ReadFrom(response.Body)
			response.Body.Close()
			if err == nil && bytes.Contains(body.Bytes(), []byte("example.com")) {
				return nil
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
	return errors.Join(errors.New("prometheus has scraped nothing after 20 s"), s.Stop())
}
