package report

import (
	"cmp"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/perfscope/perfscope/internal/evidence"
)

//go:embed assets/page.js assets/page.css
var assets embed.FS

//go:embed templates/*.html
var templates embed.FS

var pages = template.Must(template.New("").Funcs(template.FuncMap{
	"percent": percent, "bar": bar, "spark": spark, "length": length, "figure": figure, "score": score, "use": use, "clock": clock, "rfc": rfc, "when": when, "field": field,
	"words": words, "count": func(x float64) string { return fmt.Sprintf("%.0f", x) }, "bytes": size, "inc": func(i int) int { return i + 1 }, "part": ratio,
}).ParseFS(templates, "templates/*.html"))

// Asset is a file that the pages need, by its name, and its kind.
func Asset(name string) (data []byte, kind string, ok bool) {
	kind, ok = map[string]string{"page.js": "text/javascript; charset=utf-8", "page.css": "text/css; charset=utf-8"}[name]
	if !ok {
		return nil, "", false
	}
	data, err := assets.ReadFile("assets/" + name)
	return data, kind, err == nil
}

// Overview is the first page.
type Overview struct {
	Services []evidence.Service
	Watches  []evidence.Watch
	// Trouble says what could not be asked; empty when all could.
	Trouble string
	// Root is where the page is, "" or a path without a slash at its end.
	Root string
}

// WriteOverview writes the first page: what is abnormal first.
func WriteOverview(w io.Writer, o *Overview) error {
	rank := func(s *evidence.Service) int {
		switch {
		case s.Open() != nil:
			return 0
		case s.State == evidence.Blind:
			return 1
		}
		return 2
	}
	services := slices.Clone(o.Services)
	var asOf time.Time
	for i := range services {
		if h := services[i].Last(); h != nil {
			if end := h.End(); end.After(asOf) {
				asOf = end
			}
		}
	}
	slices.SortStableFunc(services, func(a, b evidence.Service) int {
		return cmp.Or(cmp.Compare(rank(&a), rank(&b)), cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
	})
	type told struct {
		evidence.Anomaly
		Service *evidence.Service
	}
	var anomalies []told
	for i := range services {
		for _, a := range services[i].Anomalies {
			anomalies = append(anomalies, told{a, &services[i]})
		}
	}
	slices.SortStableFunc(anomalies, func(a, b told) int {
		return cmp.Or(-compareBool(a.Ongoing(), b.Ongoing()), b.Onset.Compare(a.Onset))
	})
	const most = 50
	return pages.ExecuteTemplate(w, "overview.html", map[string]any{
		"Services": services, "Watches": o.Watches, "Trouble": o.Trouble, "Root": o.Root, "AsOf": asOf,
		"Anomalies": anomalies[:min(most, len(anomalies))], "Left": max(0, len(anomalies)-most),
	})
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// View is a service's page.
type View struct {
	Detail *evidence.Detail
	// Anomaly is the one that it is about, nil when it is about a stretch of time or
	// the present; Stretch is nil when the stacks of that time are not held any more.
	Anomaly *evidence.Anomaly
	Stretch *evidence.Stretch
	// Root is as of Overview.
	Root string
	// TraceLink makes the address of a span: {trace_id} and {span_id} are replaced.
	TraceLink string
	// Incident is what a gateway says of it, when it does.
	Incident *Incident
}

// WriteService writes a service's page.
func WriteService(w io.Writer, v *View) error { return writeService(w, v, false) }

// WriteFile writes the same as one file that needs nothing else and asks nobody.
func WriteFile(w io.Writer, v *View) error { return writeService(w, v, true) }

type chosen struct {
	From int64 `json:"from"`
	To   int64 `json:"to"`
}

// drawn is what the page's script is given of a service.
type drawn struct {
	Hops   []evidence.Hop  `json:"hops"`
	Marks  []evidence.Mark `json:"marks,omitempty"`
	Chosen *chosen         `json:"chosen,omitempty"`
	Pick   bool            `json:"pick"`
}

func writeService(w io.Writer, v *View, alone bool) error {
	d := v.Detail
	data := map[string]any{
		"V": v, "D": d, "A": v.Anomaly, "S": v.Stretch, "Root": v.Root, "Alone": alone,
		"Timeline": drawn{Hops: d.Hops, Marks: d.Marks, Pick: !alone},
	}
	if v.Stretch != nil {
		t := data["Timeline"].(drawn)
		t.Chosen = &chosen{v.Stretch.From.UnixMilli(), v.Stretch.To.UnixMilli()}
		data["Timeline"] = t
	}
	if alone {
		script, style := source("page.js"), source("page.css")
		data["Script"], data["Style"] = template.JS(script), template.CSS(style) //nolint:gosec // our own
		data["Policy"] = Policy("'sha256-"+sum(script)+"'", "'sha256-"+sum(style)+"'", "'none'")
	}
	return pages.ExecuteTemplate(w, "service.html", data)
}

func source(name string) string {
	data, _, _ := Asset(name)
	return string(data)
}

func sum(s string) string {
	h := sha256.Sum256([]byte(s))
	return base64.StdEncoding.EncodeToString(h[:])
}

// Policy is a content security policy that allows nothing but the given sources of
// scripts, styles and connections.
func Policy(script, style, connect string) string {
	return "default-src 'none'; script-src " + script + "; style-src " + style + "; img-src data:; connect-src " + connect +
		"; base-uri 'none'; form-action 'self'"
}

// SpanURL is where a span can be seen; empty without a template of the address. Only
// addresses of the web are made.
func (v *View) SpanURL(s evidence.Span) string {
	if !strings.HasPrefix(v.TraceLink, "http://") && !strings.HasPrefix(v.TraceLink, "https://") {
		return ""
	}
	return strings.NewReplacer("{trace_id}", s.Trace, "{span_id}", s.ID).Replace(v.TraceLink)
}

// Query chooses the same stretch at another address.
func (v *View) Query() template.URL {
	switch {
	case v.Anomaly != nil:
		return template.URL("?anomaly=" + template.URLQueryEscaper(v.Anomaly.ID)) //nolint:gosec // escaped
	case v.Stretch != nil:
		return template.URL("?from=" + template.URLQueryEscaper(v.Stretch.From.UnixMilli()) + "&to=" + template.URLQueryEscaper(v.Stretch.To.UnixMilli())) //nolint:gosec // numbers
	}
	return ""
}
