package scenario

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"github.com/perfscope/perfscope/testbed/load"
	"github.com/perfscope/perfscope/testbed/server"
)

var storefrontGroups = []string{"lamps", "chairs", "desks", "shelves", "rugs", "clocks"}

// startTomcat brings Tomcat up with apps/storefront and customers that have
// sessions.
func startTomcat(ctx context.Context, fault func(ctx context.Context, t *server.Tomcat) (func(), error), elements ...string) (Workload, error) {
	t, err := server.StartTomcat(ctx, elements...)
	if err != nil {
		return Workload{}, err
	}
	var sessions []string
	for range 40 {
		id, err := openSession(ctx, t)
		if err != nil {
			return Workload{}, errors.Join(err, t.Stop())
		}
		sessions = append(sessions, id)
	}
	requests := storefrontLoad(t, sessions, 100)
	warmUp(ctx, requests)
	return Workload{
		Server: t.Server,
		Load:   requests,
		Fault:  func(ctx context.Context) (func(), error) { return fault(ctx, t) },
	}, nil
}

// openSession puts one thing into a new cart and returns the session's cookie.
func openSession(ctx context.Context, t *server.Tomcat) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+t.Addr+"/cart?product=17&count=1", nil)
	if err != nil {
		return "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	for _, c := range response.Cookies() {
		if c.Name == "JSESSIONID" {
			return c.Value, nil
		}
	}
	return "", fmt.Errorf("no session: %s", response.Status)
}

func withSession(request *http.Request, err error, session string) (*http.Request, error) {
	if err == nil {
		request.AddCookie(&http.Cookie{Name: "JSESSIONID", Value: session})
	}
	return request, err
}

// storefrontLoad is customers who look at pages and fill carts, and programs
// that ask what is in stock.
func storefrontLoad(t *server.Tomcat, sessions []string, rate float64) load.Config {
	base := "http://" + t.Addr
	get := func(format string, args ...any) (*http.Request, error) {
		return http.NewRequest(http.MethodGet, base+fmt.Sprintf(format, args...), nil)
	}
	return httpLoad(12, rate, func(r *rand.Rand) (*http.Request, error) {
		group, session := storefrontGroups[r.IntN(len(storefrontGroups))], sessions[r.IntN(len(sessions))]
		switch n := r.IntN(100); {
		case n < 20:
			return get("/list.jsp?group=%s&page=%d", group, r.IntN(4))
		case n < 50:
			return get("/product.jsp?id=%d", r.IntN(610)) // some are sold out: 404
		case n < 55:
			return get("/offers.jsp")
		case n < 75:
			request, err := get("/cart")
			return withSession(request, err, session)
		case n < 90:
			request, err := http.NewRequest(http.MethodPost, fmt.Sprintf("%s/cart?product=%d&count=1", base, r.IntN(600)), nil)
			return withSession(request, err, session)
		default:
			return get("/stock?group=%s", group)
		}
	})
}

// tomcatSession: sessions are loaded before and saved after every request, as
// behind a load balancer without affinity. Then a few of them are large.
func tomcatSession() Scenario {
	return Scenario{
		Name:   "tomcat-session",
		Title:  "Tomcat reads and writes large sessions at every request",
		Server: "tomcat", Language: Java, Kind: Computation, Source: Debian, Split: Report,
		Quick:  true,
		Normal: "a shop with JSP pages; sessions with small carts are kept in files (PersistentValve, FileStore)",
		Fault:  "three branches of a business customer have 20,000 lines in their carts, and their programs ask for them five times a second",
		// https://github.com/apache/tomcat/blob/10.1.x/java/org/apache/catalina/valves/PersistentValve.java
		// ("per-request session persistence"); it has the store do it, and
		// the store the session.
		Truth: []string{
			"org.apache.catalina.session.FileStore.load", "org.apache.catalina.session.FileStore.save",
			"org.apache.catalina.session.StandardSession.doReadObject", "org.apache.catalina.session.StandardSession.doWriteObject",
		},
		Patterns: []string{"long_computation"},
		Start: func(ctx context.Context) (Workload, error) {
			return startTomcat(ctx, func(ctx context.Context, t *server.Tomcat) (func(), error) { return largeCarts(ctx, t, 3) },
				`<Manager className="org.apache.catalina.session.PersistentManager" saveOnRestart="false">`+
					`<Store className="org.apache.catalina.session.FileStore" directory="sessions"/></Manager>`,
				`<Valve className="org.apache.catalina.valves.PersistentValve" filter=".*\.jsp|/stock"/>`)
		},
	}
}

// largeCarts has a number of branches of a business customer put their orders
// into carts and ask for them five times a second each.
func largeCarts(ctx context.Context, t *server.Tomcat, branches int) (func(), error) {
	var ends []func()
	end := func() {
		for _, f := range ends {
			f()
		}
	}
	for range branches {
		f, err := importOrder(ctx, t)
		if err != nil {
			end()
			return nil, err
		}
		ends = append(ends, f)
	}
	return end, nil
}

func importOrder(ctx context.Context, t *server.Tomcat) (func(), error) {
	session, err := openSession(ctx, t)
	if err != nil {
		return nil, err
	}
	var order strings.Builder
	for i := range 20000 {
		fmt.Fprintf(&order, "%d,B-%06d,%d\n", i%600, 7*i, 1+i%9)
	}
	c := &http.Client{Timeout: 10 * time.Second}
	request, err := http.NewRequestWithContext(ctx, http.MethodPut, "http://"+t.Addr+"/cart", strings.NewReader(order.String()))
	if request, err = withSession(request, err, session); err != nil {
		return nil, err
	}
	response, err := c.Do(request)
	if err != nil {
		return nil, err
	}
	response.Body.Close()
	if response.StatusCode != http.StatusNoContent {
		return nil, fmt.Errorf("the order was not taken: %s", response.Status)
	}
	end := often(ctx, 200*time.Millisecond, func(ctx context.Context, _ int) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+t.Addr+"/cart", nil)
		if request, err = withSession(request, err, session); err != nil {
			return
		}
		if response, err := c.Do(request); err == nil {
			response.Body.Close()
		}
	})
	return func() { end(); c.CloseIdleConnections() }, nil
}
