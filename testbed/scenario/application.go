package scenario

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/perfscope/perfscope/testbed/load"
)

// application is a web application that a proxy under test passes requests
// to, or a service that a server under test asks. It makes a page in two
// milliseconds, takes uploads, and has a report that asks a database, an export
// that takes 300 milliseconds, a long page for what is not there, and a rate and an account that take as long as
// rateTakes.
type application struct {
	http *http.Server
	addr string
	// databaseHangs is set when the report's database answers no more.
	databaseHangs atomic.Bool
	// rateTakes is the time in nanoseconds that a rate or an account takes
	// beside the two milliseconds of everything.
	rateTakes atomic.Int64
	closed    chan struct{}
}

func startApplication() (*application, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	a := &application{addr: l.Addr().String(), closed: make(chan struct{})}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /app/page", a.page)
	mux.HandleFunc("POST /app/login", a.page)
	mux.HandleFunc("GET /app/report", a.report)
	mux.HandleFunc("GET /app/export", a.export)
	mux.HandleFunc("GET /app/rate", a.rate)
	mux.HandleFunc("GET /app/account", a.account)
	mux.HandleFunc("GET /app/absent", a.absent)
	mux.HandleFunc("/app/upload", a.upload)
	a.http = &http.Server{Handler: mux}
	go func() { _ = a.http.Serve(l) }()
	return a, nil
}

// stop ends the application as a crash does: its port is closed, what is
// under way is cut off. It may be called twice.
func (a *application) stop() {
	if a.http.Close() == nil {
		select {
		case <-a.closed:
		default:
			close(a.closed)
		}
	}
}

var page = bytes.Repeat([]byte("<li>one of many lines</li>\n"), 200)

func (a *application) page(w http.ResponseWriter, _ *http.Request) {
	time.Sleep(2 * time.Millisecond)
	_, _ = w.Write(page)
}

func (a *application) absent(w http.ResponseWriter, _ *http.Request) {
	w.WriteHeader(http.StatusNotFound)
	for range 100 {
		_, _ = w.Write(page)
	}
}

func (a *application) report(w http.ResponseWriter, r *http.Request) {
	if a.databaseHangs.Load() {
		select {
		case <-r.Context().Done():
		case <-a.closed:
		}
		return
	}
	a.page(w, r)
}

func (a *application) export(w http.ResponseWriter, r *http.Request) {
	time.Sleep(300 * time.Millisecond)
	a.page(w, r)
}

func (a *application) rate(w http.ResponseWriter, r *http.Request) {
	a.lookUp(r)
	fmt.Fprintln(w, "1.25")
}

func (a *application) account(w http.ResponseWriter, r *http.Request) {
	a.lookUp(r)
	w.WriteHeader(http.StatusNoContent)
}

func (a *application) lookUp(r *http.Request) {
	select {
	case <-time.After(2*time.Millisecond + time.Duration(a.rateTakes.Load())):
	case <-r.Context().Done():
	case <-a.closed:
	}
}

// slowRates has every rate and account take longer, until the returned function is called.
func (a *application) slowRates(d time.Duration) (end func()) {
	a.rateTakes.Store(int64(d))
	return func() { a.rateTakes.Store(0) }
}

func (a *application) upload(w http.ResponseWriter, r *http.Request) {
	n, err := io.Copy(io.Discard, r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	fmt.Fprintf(w, "%d bytes\n", n)
}

// upload is a form of some KiB that arrives at once.
func upload(addr string, size int) (*http.Request, error) {
	return http.NewRequest(http.MethodPost, "http://"+addr+"/app/upload", strings.NewReader(strings.Repeat("x", size)))
}

// impatient makes the users of an httpLoad give up after a while.
func impatient(c load.Config, patience time.Duration) load.Config {
	dial := c.Dial
	c.Dial = func() (load.Client, error) {
		client, err := dial()
		if requests, ok := client.(httpRequests); ok {
			requests.http.Timeout = patience
		}
		return client, err
	}
	return c
}
