package perfscopepage

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap/confmaptest"

	"github.com/perfscope/perfscope/extension/perfscopepage/internal/metadata"
	"github.com/perfscope/perfscope/internal/evidence"
)

// source has one service.
type source struct{ evidence.Service }

func (s source) Services(context.Context) ([]evidence.Service, error) {
	return []evidence.Service{s.Service}, nil
}

func (s source) Detail(_ context.Context, id string) (*evidence.Detail, error) {
	if id != s.ID {
		return nil, evidence.ErrUnknown
	}
	return evidence.NewDetail(s.Service, nil, nil), nil
}

func (s source) Watch() evidence.Watch {
	return evidence.Watch{Mode: "burst", Rules: []evidence.Rule{{Text: "executable: nothing"}}}
}

func started(t *testing.T, adjust func(*Config)) *page {
	t.Helper()
	cfg := createDefaultConfig().(*Config)
	cfg.Endpoint = "localhost:0"
	if adjust != nil {
		adjust(cfg)
	}
	p := newPage(cfg, componenttest.NewNopTelemetrySettings())
	require.NoError(t, p.Start(t.Context(), componenttest.NewNopHost()))
	t.Cleanup(func() { assert.NoError(t, p.Shutdown(context.Background())) })
	return p
}

func ask(t *testing.T, p *page, path, host string) (int, http.Header, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+p.local+path, nil)
	require.NoError(t, err)
	if host != "" {
		r.Host = host
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(r)
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, response.Header, string(body)
}

var redis = source{evidence.Service{
	ID: "redis-1", Name: "redis", State: evidence.Judged,
	Anomalies: []evidence.Anomaly{{ID: "a1", State: "raised", Sentence: "redis: it waits.", Onset: time.Unix(1, 0), End: time.Unix(11, 0), Suspects: []evidence.Suspect{{Function: "flush"}}}},
}}

func TestWhoTakesPartIsShown(t *testing.T) {
	p := started(t, nil)
	_, _, body := ask(t, p, "/", "")
	assert.Contains(t, body, "No service is seen yet")
	end := p.Show(redis)
	for path, want := range map[string]string{
		"/": "redis: it waits.", "/service/redis-1": "flush", "/service/redis-1?anomaly=a1": "flush", "/api/overview": `"name":"redis"`,
		"/api/service/redis-1": `"function":"flush"`, "/assets/page.js": "function", "/assets/page.css": "color-scheme",
		"/service/redis-1/report.html": "Content-Security-Policy",
	} {
		code, _, body := ask(t, p, path, "")
		assert.Equal(t, http.StatusOK, code, path)
		assert.Contains(t, body, want, path)
	}
	_, _, body = ask(t, p, "/", "")
	assert.Contains(t, body, "1 rule of targets, 1 matches nothing")
	for path, want := range map[string]int{
		"/service/other": 404, "/service/redis-1?anomaly=gone": 404, "/service/redis-1/normal.pb.gz": 404, "/assets/..%2fpage.go": 404, "/elsewhere": 404,
	} {
		code, _, _ := ask(t, p, path, "")
		assert.Equal(t, want, code, path)
	}
	end()
	code, _, _ := ask(t, p, "/service/redis-1", "")
	assert.Equal(t, 404, code, "who has left is not shown")
}

func TestOnlyThisHostIsAnswered(t *testing.T) {
	p := started(t, func(c *Config) { c.ExternalURL = "https://perfscope.example.com/host1/" })
	p.Show(redis)
	for host, want := range map[string]int{
		"": 200, "localhost": 200, "127.0.0.1:55690": 200, "[::1]:55690": 200, "perfscope.example.com": 200, "evil.example.com": 403, "localhost.evil.com:80": 403,
	} {
		code, header, body := ask(t, p, "/", host)
		assert.Equal(t, want, code, host)
		assert.Contains(t, header.Get("Content-Security-Policy"), "default-src 'none'; script-src 'self'")
		assert.Equal(t, "nosniff", header.Get("X-Content-Type-Options"))
		if host == "perfscope.example.com" {
			assert.Contains(t, body, `href="/host1/service/redis-1"`, "links lead through the proxy")
		}
	}
	assert.Equal(t, "https://perfscope.example.com/host1/service/redis-1?anomaly=a+1", p.URL("redis-1", "a 1"))
	assert.True(t, strings.HasPrefix(p.Local("redis-1", "a1"), "http://localhost:"))
}

// told is a source that takes feedback.
type told struct {
	source
	ids *[]string
}

func (s told) Expect(_ context.Context, id string) error {
	if id != "a1" {
		return evidence.ErrUnknown
	}
	*s.ids = append(*s.ids, id)
	return nil
}

func TestOnlyThisPageSaysThatAnAnomalyWasExpected(t *testing.T) {
	p := started(t, nil)
	var ids []string
	p.Show(told{redis, &ids})
	_, _, body := ask(t, p, "/service/redis-1?anomaly=a1", "")
	assert.Contains(t, body, `<form method="post" action="/service/redis-1/expected">`)
	_, _, file := ask(t, p, "/service/redis-1/report.html", "")
	assert.NotContains(t, file, "<form", "a file asks nobody")
	for _, tc := range []struct {
		name, form, host, origin, from string
		want                           int
	}{
		{"this page", "anomaly=a1", "", "own", "127.0.0.1:5", 303},
		{"a program", "anomaly=a1", "", "", "[::1]:5", 303},
		{"a page from elsewhere", "anomaly=a1", "", "https://evil.example.com", "127.0.0.1:5", 403},
		{"a name that points here", "anomaly=a1", "evil.example.com", "http://evil.example.com", "127.0.0.1:5", 403},
		{"another host", "anomaly=a1", "", "", "192.0.2.1:5", 403},
		{"another anomaly", "anomaly=b", "", "own", "127.0.0.1:5", 404},
		{"nothing", "", "", "own", "127.0.0.1:5", 400},
		{"too much", "anomaly=" + strings.Repeat("a", maxForm), "", "own", "127.0.0.1:5", 400},
	} {
		host := p.local
		if tc.host != "" {
			host = tc.host
		}
		r := httptest.NewRequest(http.MethodPost, "/service/redis-1/expected", strings.NewReader(tc.form))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Host, r.RemoteAddr = host, tc.from
		switch tc.origin {
		case "own":
			r.Header.Set("Origin", "http://"+host)
		case "":
		default:
			r.Header.Set("Origin", tc.origin)
			r.Header.Set("Sec-Fetch-Site", "cross-site")
		}
		w := httptest.NewRecorder()
		before := len(ids)
		p.handler().ServeHTTP(w, r)
		assert.Equal(t, tc.want, w.Code, tc.name)
		assert.Equal(t, tc.want == 303, len(ids) > before, tc.name)
	}
}

func TestATakenPortIsAnError(t *testing.T) {
	first := started(t, nil)
	second := newPage(&Config{Endpoint: first.local}, componenttest.NewNopTelemetrySettings())
	require.ErrorContains(t, second.Start(t.Context(), componenttest.NewNopHost()), "choose another endpoint")
	require.NoError(t, second.Shutdown(t.Context()))
}

func TestConfig(t *testing.T) {
	conf, err := confmaptest.LoadConf(filepath.Join("testdata", "config.yaml"))
	require.NoError(t, err)
	cfg := createDefaultConfig().(*Config)
	sub, err := conf.Sub(component.NewIDWithName(metadata.Type, "all").String())
	require.NoError(t, err)
	require.NoError(t, sub.Unmarshal(cfg))
	require.NoError(t, cfg.Validate())
	assert.Equal(t, "127.0.0.1:8099", cfg.Endpoint)
	for want, c := range map[string]Config{
		"endpoint is \"8099\"":              {Endpoint: "8099"},
		"external_url is \"javascript:":     {Endpoint: "localhost:1", ExternalURL: "javascript:alert(1)"},
		"it must have {trace_id}":           {Endpoint: "localhost:1", TraceURL: "http://jaeger/trace"},
		"trace_url is \"ftp://{trace_id}\"": {Endpoint: "localhost:1", TraceURL: "ftp://{trace_id}"},
	} {
		require.ErrorContains(t, c.Validate(), want)
	}
}
