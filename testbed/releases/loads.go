package releases

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/perfscope/perfscope/testbed/client"
	"github.com/perfscope/perfscope/testbed/load"
	"github.com/perfscope/perfscope/testbed/server"
)

// workers is the number of connections of a load.
const workers = 4

// request is one that a service at addr is asked.
type request func(addr string, r *rand.Rand) (*http.Request, error)

// requests asks a service by HTTP, over one connection a worker.
func requests(next request) func(*server.Server, float64) load.Config {
	return func(s *server.Server, rate float64) load.Config {
		return load.Config{Workers: workers, Rate: rate, Dial: func() (load.Client, error) {
			return &httpClient{&http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1}, Timeout: 5 * time.Second}, s.Addr, next}, nil
		}}
	}
}

type httpClient struct {
	http *http.Client
	addr string
	next request
}

func (c *httpClient) Request(r *rand.Rand) error {
	q, err := c.next(c.addr, r)
	if err != nil {
		return err
	}
	answer, err := c.http.Do(q)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("answered %s", answer.Status)
	}
	return nil
}

func (c *httpClient) Close() error {
	c.http.CloseIdleConnections()
	return nil
}

func post(addr, body string) (*http.Request, error) {
	return http.NewRequest(http.MethodPost, "http://"+addr+"/", strings.NewReader(body)) //nolint:noctx // it has a timeout
}

// settings sends forty of them; every fourth has lists in lists.
func settings(addr string, r *rand.Rand) (*http.Request, error) {
	var body strings.Builder
	for i := range 40 {
		fmt.Fprintf(&body, "setting%d: {name: value%d, limit: %d}\n", i, r.IntN(1000), r.IntN(1000))
	}
	if r.IntN(4) == 0 {
		const deep = 600
		body.WriteString("lists:\n- " + strings.Repeat("[", deep) + strings.Repeat("]", deep) + "\n")
	}
	return post(addr, body.String())
}

// pages sends a page; every fourth has a formula whose annotation names a long encoding.
func pages(addr string, r *rand.Rand) (*http.Request, error) {
	var body strings.Builder
	body.WriteString("<!DOCTYPE html><html><body>")
	for i := range 40 {
		fmt.Fprintf(&body, `<p class="c%d">paragraph <b>%d</b> of <a href="/%d">many</a></p>`, i, r.IntN(1000), i)
	}
	if r.IntN(4) == 0 {
		body.WriteString(`<math><annotation-xml encoding="` + strings.Repeat("Text/", 400) + `">` + strings.Repeat("<mi/>", 60) + `</annotation-xml></math>`)
	}
	return post(addr, body.String()+"</body></html>")
}

// greetings asks in some languages; every fourth client sends a tag without an end.
func greetings(addr string, r *rand.Rand) (*http.Request, error) {
	q, err := post(addr, "hello")
	if err != nil {
		return nil, err
	}
	accepts := []string{"de-CH,de;q=0.9,en;q=0.5", "fr,en-GB;q=0.7", "ja-JP", "zh-Hant-TW,en;q=0.3"}[r.IntN(4)]
	if r.IntN(4) == 0 {
		accepts = "en" + strings.Repeat("-x", 2400)
	}
	q.Header.Set("Accept-Language", accepts)
	return q, nil
}

// doors shows a token; every fourth is nothing but dots.
func doors(addr string, r *rand.Rand) (*http.Request, error) {
	q, err := post(addr, "open")
	if err != nil {
		return nil, err
	}
	token := tokenOf(r.IntN(1000))
	if r.IntN(4) == 0 {
		token = strings.Repeat(".", 12000)
	}
	q.Header.Set("Authorization", "Bearer "+token)
	return q, nil
}

// tokenOf is a JSON Web Token that apps/upgrades/doors.go takes.
func tokenOf(subject int) string {
	encode := base64.RawURLEncoding.EncodeToString
	signed := encode([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + encode(fmt.Appendf(nil, `{"sub":"%d"}`, subject))
	mac := hmac.New(sha256.New, []byte("a key of the testbed's"))
	mac.Write([]byte(signed))
	return signed + "." + encode(mac.Sum(nil))
}

// origins asks what another origin may send; every fourth asks for a thousand headers.
func origins(addr string, r *rand.Rand) (*http.Request, error) {
	q, err := post(addr, "may I")
	if err != nil {
		return nil, err
	}
	q.Header.Set("Origin", fmt.Sprintf("https://s%d.shop.example", r.IntN(100)))
	q.Header.Set("Access-Control-Request-Method", "PUT")
	asked := "authorization,content-type,x-tenant"
	if r.IntN(4) == 0 {
		asked = strings.TrimSuffix(strings.Repeat("x-tenant,authorization,", 500), ",")
	}
	q.Header.Set("Access-Control-Request-Headers", asked)
	return q, nil
}

// articles sends a text; every fourth has a line with many spaces and two at its end.
func articles(addr string, r *rand.Rand) (*http.Request, error) {
	text := prose(r)
	if r.IntN(4) == 0 {
		text += "x" + strings.Repeat(" ", 800) + "x  \nx"
	}
	return post(addr, text)
}

// comments sends a text; every fourth defines a link with much space in it.
func comments(addr string, r *rand.Rand) (*http.Request, error) {
	text := prose(r)
	if r.IntN(4) == 0 {
		text += "\n\n[x]:" + strings.Repeat(" ", 90) + "x " + strings.Repeat(" ", 90) + " x\n"
	}
	return post(addr, text)
}

func prose(r *rand.Rand) string {
	var text bytes.Buffer
	for range 12 {
		fmt.Fprintf(&text, "## Heading %d\n\nSome *text* with `code` and a [link](/%d).\n\n- one\n- two\n\n", r.IntN(1000), r.IntN(1000))
	}
	return text.String()
}

// measurements sends packets of measurements with tags.
func measurements(s *server.Server, rate float64) load.Config {
	return load.Config{Workers: workers, Rate: rate, Dial: func() (load.Client, error) {
		c, err := net.Dial("udp", s.Addr)
		return &packets{c}, err
	}}
}

type packets struct{ net.Conn }

func (c *packets) Request(r *rand.Rand) error {
	var packet strings.Builder
	for range 60 {
		fmt.Fprintf(&packet, "shop_calls_%d:1|c|#zone:z%d,region:eu,host:h%d,build:b%d,application:shop,tier:front\n", r.IntN(20), r.IntN(3), r.IntN(10), r.IntN(2))
	}
	_, err := io.WriteString(c, packet.String())
	return err
}

// subscriptions publishes to subjects that come again, while subscriptions come and go.
func subscriptions(s *server.Server, rate float64) load.Config {
	return load.Config{Workers: workers, Rate: rate, Dial: func() (load.Client, error) {
		c, err := client.DialNATS(s.Addr)
		return &subscriber{NATS: c}, err
	}}
}

type subscriber struct {
	*client.NATS
	id int
}

func (c *subscriber) Request(r *rand.Rand) error {
	for range 10 {
		customer := r.IntN(900)
		c.Publish(fmt.Sprintf("orders.%d.%d", customer%7, customer), "", `{"limit":10}`)
	}
	c.id++
	c.Subscribe(fmt.Sprintf("user.%d.>", r.IntN(1<<20)), c.id)
	c.Unsubscribe(c.id)
	return c.Ping()
}
