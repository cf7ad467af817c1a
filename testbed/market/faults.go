package market

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"github.com/perfscope/perfscope/testbed/client"
	"github.com/perfscope/perfscope/testbed/load"
	"github.com/perfscope/perfscope/testbed/scenario"
)

// Fault is a cause of slowness in one of the services.
type Fault struct {
	Name string
	// Say tells what happens.
	Say string
	// Service is where, Truth the functions to blame; any of them counts.
	Service string
	Truth   []string
	// Database is set when the service has no spans: its callers' are told.
	Database bool
	// Unseen is set on those that nothing was tuned with.
	Unseen bool
	// Switch turns it on and off.
	Switch func(m *Market, on bool) error
}

// Faults are one or two in each tier, and two that nothing was tuned with.
func Faults() []Fault {
	return append([]Fault{
		{
			Name: "front-table", Service: "front", Truth: []string{"main.(*page).table"},
			Say:    "the front's page gets a table that is put together row by row, each time as a new string",
			Switch: func(m *Market, on bool) error { return get(m.Front.Addr, "/fault", on) },
		},
		{
			Name: "quote-scan", Service: "quote",
			// The compiler inlines scan: price holds its code.
			Truth:  []string{"main.(*tariffs).scan", "main.(*quotes).price"},
			Say:    "quote compares an item with every tariff instead of searching",
			Switch: func(m *Market, on bool) error { return get(m.quoteAdmin(), "/fault", on) },
		},
		{
			Name: "stock-rank", Service: "stock", Truth: []string{"rankWarehouses"},
			Say:    "stock compares every warehouse with every other",
			Switch: func(m *Market, on bool) error { return get(m.Stock.Addr, "/fault?name=rank", on) },
		},
		{
			Name: "stock-journal", Service: "stock", Truth: []string{"append", "fsyncSync", "Journal.append"},
			Say:    "stock waits for the disk after every line of its journal",
			Switch: func(m *Market, on bool) error { return get(m.Stock.Addr, "/fault?name=journal", on) },
		},
		{
			Name: "redis-keys", Service: "redis", Database: true,
			// As in the scenario of that name.
			Truth: []string{"keysCommand", "stringmatchlen", "stringmatchlen_impl"},
			Say:   "a dashboard asks redis for KEYS with a pattern five times a second: every key is matched while all others wait",
			Switch: func(m *Market, on bool) error {
				if !on {
					return m.endFault()
				}
				end, err := scenario.PollKeys(context.Background(), m.Redis.Addr, func(from, to time.Time) {
					m.busy = append(m.busy, stretch{from, to})
				})
				m.endFault = func() error { end(); return nil }
				return err
			},
		},
		{
			Name: "postgres-index", Service: "postgres", Database: true,
			// The sequential scan, as in the scenario of that name.
			Truth: []string{"heap_getnextslot", "heapgetpage", "ExecScan", "ExecSeqScan"},
			Say:   "the index of stock's query is dropped, and each reads the whole table",
			Switch: func(m *Market, on bool) error {
				if on {
					return m.sql("ALTER TABLE accounts DROP CONSTRAINT accounts_pkey")
				}
				return m.sql("ALTER TABLE accounts ADD CONSTRAINT accounts_pkey PRIMARY KEY (id)")
			},
		},
	}, unseen()...)
}

func (m *Market) quoteAdmin() string {
	return fmt.Sprintf("%s:%d", m.network.Hosts["middle"].IP, quoteAdmin)
}

func (m *Market) redis(command ...string) error {
	c, err := client.DialRedis(m.Redis.Addr)
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = c.Do(command...)
	return err
}

func get(addr, path string, on bool) error {
	separator, value := "?", "0"
	if strings.Contains(path, "?") {
		separator = "&"
	}
	if on {
		value = "1"
	}
	response, err := http.Get("http://" + addr + path + separator + "on=" + value)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode >= http.StatusMultipleChoices {
		return fmt.Errorf("%s%s: %s", addr, path, response.Status)
	}
	return nil
}

// Load orders, and now and then looks at a page that asks nobody.
func (m *Market) Load() load.Config {
	return load.Config{
		Workers: 6, Rate: 40,
		Dial: func() (load.Client, error) {
			return &customer{front: "http://" + m.Front.Addr, http: http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{MaxConnsPerHost: 1}}}, nil
		},
	}
}

type customer struct {
	front string
	http  http.Client
}

// Request makes one request; four of five are orders.
func (c *customer) Request(r *rand.Rand) error {
	url := fmt.Sprintf("%s/order?item=%d", c.front, r.IntN(rows))
	if r.IntN(5) == 0 {
		url = c.front + "/about"
	}
	response, err := c.http.Get(url)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return err
	}
	if response.StatusCode >= http.StatusInternalServerError {
		return fmt.Errorf("%s: %s", url, response.Status)
	}
	return nil
}

// Close ends the connection.
func (c *customer) Close() error {
	c.http.CloseIdleConnections()
	return nil
}
