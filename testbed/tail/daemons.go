package tail

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/perfscope/perfscope/testbed/client"
	"github.com/perfscope/perfscope/testbed/server"
)

// daemons are more servers that nothing was chosen by, of other kinds than those before.
func daemons() []Scenario {
	return []Scenario{
		{
			// servers/slapd/back-mdb/search.c at 2.5.13 reads every entry (id2entry.c) and
			// has filterentry.c test it when an attribute has no index.
			Name: "slapd-no-index", Service: "slapd", Start: startPeople, Dial: askPeople,
			Truth: []string{"mdb_search", "test_filter", "mdb_entry_decode", "mdb_id2entry"},
		},
		tomcatOrders(),
		twoKinds(),
		{
			// apps/wiki: difflib in the loop of an asynchronous server.
			Name: "asyncio-changes", Service: "wiki", Start: startPages, Dial: byPath("/pages/1/changes", "/pages/%d"),
			Truth: []string{"show_changes", "_fancy_replace", "Differ._fancy_replace", "_fancy_helper", "Differ._fancy_helper"},
		},
		{
			// i18n 0.8.3 writes its whole file for a text that it has not met, synchronously.
			// Nothing names the functions of scripts.
			Name: "node-plain-write", Service: "menu", Start: startMenu, Dial: askMenu,
			Truth: []string{"write", "rename", "uv_fs_rename", "uv_fs_write", "node::fs::WriteString", "node::fs::Rename"},
		},
	}
}

const people = "ou=people,dc=example,dc=org"

// startPeople starts a directory of 5000 people, who are found by uid.
func startPeople(ctx context.Context, _ server.SlowWay) (*server.Server, error) {
	var b strings.Builder
	b.WriteString("dn: dc=example,dc=org\nobjectClass: dcObject\nobjectClass: organization\no: Example\ndc: example\n\n" +
		"dn: " + people + "\nobjectClass: organizationalUnit\nou: people\n\n")
	for i := range 5000 {
		fmt.Fprintf(&b, "dn: uid=%06[1]d,%[2]s\nobjectClass: inetOrgPerson\nuid: %06[1]d\ncn: Person %[1]d\nsn: Number %[1]d\n"+
			"mail: person%[1]d@example.org\ntelephoneNumber: +1 555 %06[1]d\n\n", i, people)
	}
	return server.StartSlapd(ctx, b.String(), "")
}

func askPeople(s *server.Server) (asker, error) {
	c, err := client.DialLDAP(s.Addr)
	if err != nil {
		return asker{}, err
	}
	ask := func(id int, slow bool) error {
		attribute, value := "uid", fmt.Sprintf("%06d", id%5000)
		if slow {
			attribute, value = "mail", fmt.Sprintf("person%d@example.org", id%5000)
		}
		_, err := c.Find(people, attribute, value, "cn", "mail")
		return err
	}
	return asker{ask: ask, close: c.Close}, nil
}

// tomcatOrders is a shop that keeps sessions in files, of which a few are large.
func tomcatOrders() Scenario {
	var order string
	start := func(ctx context.Context, _ server.SlowWay) (*server.Server, error) {
		t, err := server.StartTomcat(ctx,
			`<Manager className="org.apache.catalina.session.PersistentManager" saveOnRestart="false">`+
				`<Store className="org.apache.catalina.session.FileStore" directory="sessions"/></Manager>`,
			`<Valve className="org.apache.catalina.valves.PersistentValve" filter=".*\.jsp|/stock"/>`)
		if err != nil {
			return nil, err
		}
		if order, err = fillCart(t.Addr, 5000); err != nil {
			return nil, errors.Join(err, t.Stop())
		}
		return t.Server, nil
	}
	dial := func(s *server.Server) (asker, error) {
		c := newHTTP()
		own, err := fillCart(s.Addr, 3)
		ask := func(_ int, slow bool) error {
			session := own
			if slow {
				session = order
			}
			_, err := withSession(c, http.MethodGet, s.Addr, session, "")
			return err
		}
		return asker{ask: ask, close: func() error { c.CloseIdleConnections(); return nil }}, err
	}
	return Scenario{
		// java/org/apache/catalina/session at 10.1.
		Name: "tomcat-sessions", Service: "tomcat", Start: start, Dial: dial,
		Truth: []string{
			"org.apache.catalina.session.FileStore.load", "org.apache.catalina.session.FileStore.save",
			"org.apache.catalina.session.StandardSession.doReadObject", "org.apache.catalina.session.StandardSession.doWriteObject",
		},
	}
}

// fillCart opens a session with a cart of so many lines.
func fillCart(addr string, lines int) (session string, err error) {
	var order strings.Builder
	for i := range lines {
		fmt.Fprintf(&order, "%d,B-%06d,%d\n", i%600, 7*i, 1+i%9)
	}
	c := newHTTP()
	defer c.CloseIdleConnections()
	return withSession(c, http.MethodPut, addr, "", order.String())
}

// withSession asks for a cart, or fills it, and returns the session.
func withSession(c *http.Client, method, addr, session, body string) (string, error) {
	request, err := http.NewRequest(method, "http://"+addr+"/cart", strings.NewReader(body))
	if err != nil {
		return "", err
	}
	if session != "" {
		request.AddCookie(&http.Cookie{Name: "JSESSIONID", Value: session})
	}
	answer, err := c.Do(request)
	if err != nil {
		return "", err
	}
	if err := answer.Body.Close(); err != nil || answer.StatusCode >= http.StatusBadRequest {
		return "", errors.Join(err, fmt.Errorf("cart: %s", answer.Status))
	}
	for _, cookie := range answer.Cookies() {
		if cookie.Name == "JSESSIONID" {
			session = cookie.Value
		}
	}
	return session, nil
}

// startPages starts a wiki of which one page was changed in every line.
func startPages(ctx context.Context, _ server.SlowWay) (*server.Server, error) {
	s, err := server.StartWiki(ctx)
	if err != nil {
		return nil, err
	}
	var page strings.Builder
	for line := range 30 {
		fmt.Fprintf(&page, "Paragraph %d of this page says that %d is a number.\n", line, 7*line)
	}
	request, err := http.NewRequest(http.MethodPut, "http://"+s.Addr+"/pages/1", strings.NewReader(page.String()))
	if err == nil {
		var answer *http.Response
		if answer, err = http.DefaultClient.Do(request); err == nil {
			err = answer.Body.Close()
		}
	}
	if err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

func startMenu(ctx context.Context, _ server.SlowWay) (*server.Server, error) {
	return server.StartPlainNode(ctx, "menu")
}

// askMenu asks for dishes, slowly for such as nobody has translated.
func askMenu(s *server.Server) (asker, error) {
	c := newHTTP()
	fresh := 0
	ask := func(id int, slow bool) error {
		dish := fmt.Sprintf("dish%%20%d", id%6000)
		if slow {
			fresh++
			dish = fmt.Sprintf("special%%20%d%%20%p", fresh, c)
		}
		_, err := get(c, "http://"+s.Addr+"/dishes/"+dish)
		return err
	}
	return asker{ask: ask, close: func() error { c.CloseIdleConnections(); return nil }}, nil
}
