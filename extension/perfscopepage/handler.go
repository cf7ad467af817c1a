package perfscopepage

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/perfscope/perfscope/internal/evidence"
	"github.com/perfscope/perfscope/internal/report"
)

// handler serves the pages, what they need, and the JSON behind them.
func (p *page) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", p.overview)
	mux.HandleFunc("GET /api/overview", p.overviewJSON)
	mux.HandleFunc("GET /service/{id}", p.stretch(serviceHTML))
	mux.HandleFunc("GET /service/{id}/report.html", p.stretch(reportHTML))
	mux.HandleFunc("GET /service/{id}/abnormal.pb.gz", p.stretch(pprof(evidence.Abnormal)))
	mux.HandleFunc("GET /service/{id}/normal.pb.gz", p.stretch(pprof(evidence.Normal)))
	mux.HandleFunc("GET /service/{id}/records.bin", p.records)
	mux.HandleFunc("GET /api/service/{id}", p.stretch(serviceJSON))
	mux.Handle("POST /service/{id}/expected", p.expected())
	mux.HandleFunc("GET /assets/{name}", asset)
	return p.guard(mux)
}

// guard lets only those in who ask for this host by a name that it has: a web page from
// elsewhere that has its name point here (DNS rebinding) may not read this one.
func (p *page) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", report.Policy("'self'", "'self'", "'none'"))
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		if !p.knows(r.Host) {
			http.Error(w, "this host is not known by that name: set external_url", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// knows reports whether a host, with or without a port, is this one: an address, the
// endpoint's name, localhost, or that of external_url.
func (p *page) knows(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = hostport
	}
	endpoint, _, _ := net.SplitHostPort(p.cfg.Endpoint)
	external := ""
	if u, err := url.Parse(p.cfg.ExternalURL); err == nil {
		external = u.Hostname()
	}
	if len(host) > 1 && host[0] == '[' {
		host = host[1 : len(host)-1]
	}
	return net.ParseIP(host) != nil || host == "localhost" || host != "" && (host == endpoint || host == external)
}

// root is the path under which people reach the page, without a slash at its end.
func (p *page) root(r *http.Request) string {
	u, err := url.Parse(p.cfg.ExternalURL)
	host, _, split := net.SplitHostPort(r.Host)
	if split != nil {
		host = r.Host
	}
	if err != nil || u.Hostname() == "" || u.Hostname() != host {
		return ""
	}
	return strings.TrimSuffix(u.EscapedPath(), "/")
}

func asset(w http.ResponseWriter, r *http.Request) {
	data, kind, ok := report.Asset(r.PathValue("name"))
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Cache-Control", "max-age=300")
	_, _ = w.Write(data)
}

// all is what the sources and watchers say.
func (p *page) all(ctx context.Context) *report.Overview {
	o := &report.Overview{Services: []evidence.Service{}, Watches: []evidence.Watch{}}
	for _, s := range p.Sources() {
		list, err := s.Services(ctx)
		if err != nil {
			o.Trouble = "The analysis did not answer in time: " + err.Error()
		}
		o.Services = append(o.Services, list...)
	}
	for _, w := range partsOf[evidence.Watcher](p) {
		o.Watches = append(o.Watches, w.Watch())
	}
	return o
}

func (p *page) overview(w http.ResponseWriter, r *http.Request) {
	p.render(w, r, func(ctx context.Context, out *bytes.Buffer) error {
		o := p.all(ctx)
		o.Root = p.root(r)
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		return report.WriteOverview(out, o)
	})
}

func (p *page) overviewJSON(w http.ResponseWriter, r *http.Request) {
	p.render(w, r, func(ctx context.Context, out *bytes.Buffer) error {
		o := p.all(ctx)
		return writeJSON(w, out, map[string]any{"services": o.Services, "watches": o.Watches, "trouble": o.Trouble})
	})
}

func writeJSON(w http.ResponseWriter, out *bytes.Buffer, v any) error {
	w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(out).Encode(v)
}

// render makes an answer as a whole before it is sent, so that an error can still be
// said; few at once, since a call tree takes some megabytes meanwhile.
func (p *page) render(w http.ResponseWriter, r *http.Request, what func(context.Context, *bytes.Buffer) error) {
	ctx, cancel := context.WithTimeout(r.Context(), askTimeout)
	defer cancel()
	select {
	case p.rendering <- struct{}{}:
		defer func() { <-p.rendering }()
	case <-ctx.Done():
		http.Error(w, "too many ask at once", http.StatusServiceUnavailable)
		return
	}
	var out bytes.Buffer
	switch err := what(ctx, &out); {
	case errors.Is(err, evidence.ErrUnknown):
		w.Header().Del("Content-Disposition")
		http.Error(w, "not found: "+err.Error(), http.StatusNotFound)
	case err != nil:
		w.Header().Del("Content-Disposition")
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
	default:
		w.Header().Set("Content-Length", strconv.Itoa(out.Len()))
		_, _ = w.Write(out.Bytes())
	}
}

// form writes what was asked for of a service.
type form func(w http.ResponseWriter, out *bytes.Buffer, v *report.View) error

// stretch finds the service, the anomaly and the stretch that a request is about.
func (p *page) stretch(as form) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		p.render(w, r, func(ctx context.Context, out *bytes.Buffer) error {
			v, err := p.find(ctx, r)
			if err != nil {
				return err
			}
			v.Root, v.TraceLink = p.root(r), p.cfg.TraceURL
			return as(w, out, v)
		})
	}
}

func (p *page) find(ctx context.Context, r *http.Request) (*report.View, error) {
	for _, s := range p.Sources() {
		d, err := s.Detail(ctx, r.PathValue("id"))
		if errors.Is(err, evidence.ErrUnknown) {
			continue
		}
		if err != nil {
			return nil, err
		}
		return choose(d, r.URL.Query())
	}
	return nil, evidence.ErrUnknown
}

// choose takes the anomaly or the stretch of a query, else the anomaly that is open,
// else the last minute.
func choose(d *evidence.Detail, q url.Values) (*report.View, error) {
	v := &report.View{Detail: d}
	from, hasFrom := instant(q.Get("from"))
	to, hasTo := instant(q.Get("to"))
	switch id := q.Get("anomaly"); {
	case id != "":
		var known bool
		if v.Anomaly, known = d.Anomaly(id); !known {
			return nil, evidence.ErrUnknown
		}
		v.Stretch, _ = d.Of(v.Anomaly)
	case hasFrom && hasTo:
		v.Stretch, _ = d.Between(from, to)
	case d.Open() != nil:
		v.Anomaly = d.Open()
		v.Stretch, _ = d.Of(v.Anomaly)
	default:
		v.Stretch, _ = d.Latest()
	}
	return v, nil
}

// instant reads milliseconds since 1970, or what a browser's field for a time sends: UTC.
func instant(text string) (time.Time, bool) {
	if ms, err := strconv.ParseInt(text, 10, 64); err == nil {
		return time.UnixMilli(ms), true
	}
	for _, layout := range []string{"2006-01-02T15:04:05", "2006-01-02T15:04"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

func serviceHTML(w http.ResponseWriter, out *bytes.Buffer, v *report.View) error {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	return report.WriteService(out, v)
}

func reportHTML(w http.ResponseWriter, out *bytes.Buffer, v *report.View) error {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	attach(w, v, "html")
	return report.WriteFile(out, v)
}

func serviceJSON(w http.ResponseWriter, out *bytes.Buffer, v *report.View) error {
	return writeJSON(w, out, map[string]any{"service": v.Detail, "anomaly": v.Anomaly, "stretch": v.Stretch})
}

func pprof(which evidence.Which) form {
	return func(w http.ResponseWriter, out *bytes.Buffer, v *report.View) error {
		if v.Stretch == nil {
			return evidence.ErrUnknown
		}
		w.Header().Set("Content-Type", "application/octet-stream")
		kind := "normal.pb.gz"
		if which == evidence.Abnormal {
			kind = "abnormal.pb.gz"
		}
		attach(w, v, kind)
		return v.Stretch.WritePprof(out, which, &v.Detail.Service)
	}
}

// records writes the recording of a service's last minutes as it is held: it is not
// copied.
func (p *page) records(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), askTimeout)
	defer cancel()
	v, err := p.find(ctx, r)
	switch {
	case errors.Is(err, evidence.ErrUnknown):
		http.Error(w, "not found: "+err.Error(), http.StatusNotFound)
	case err != nil:
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
	case v.Detail.Recording == nil:
		http.Error(w, "nothing is recorded: set flight_recorder::max_bytes of the perfscope processor", http.StatusNotFound)
	default:
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("Content-Length", strconv.FormatInt(v.Detail.Recording.Bytes, 10))
		attach(w, v, "records.bin")
		_, _ = v.Detail.Recording.WriteTo(w)
	}
}

// attach has a browser save an answer; the ID has only characters that are safe here.
func attach(w http.ResponseWriter, v *report.View, kind string) {
	w.Header().Set("Content-Disposition", `attachment; filename="`+v.Detail.ID+"-"+kind+`"`)
}
