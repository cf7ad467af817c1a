//go:build linux

package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/perfscope/perfscope/pkg/threadtrace"
	"github.com/perfscope/perfscope/pkg/threadtrace/tracelog"
	"github.com/perfscope/perfscope/testbed/agent"
	"github.com/perfscope/perfscope/testbed/proc"
	"github.com/perfscope/perfscope/testbed/server"
)

// TestPrometheusKnowsAnomalies gives the full distribution, with the shipped
// configuration for metrics, an anomaly, lets Prometheus scrape it, and asks
// for the alert. The anomaly comes by OTLP in place of the receiver.
func TestPrometheusKnowsAnomalies(t *testing.T) {
	full := binary + "-full"
	if _, err := os.Stat(full); err != nil {
		t.Skip("needs the full distribution: make build-full")
	}
	prometheus, err := exec.LookPath("prometheus")
	if err != nil {
		t.Skip("needs Debian's prometheus")
	}
	otlp, scrape, api := freeAddr(t), freeAddr(t), freeAddr(t)
	dir := t.TempDir()
	a, err := agent.Start(t.Context(), agent.Config{
		Binary: full, File: config, Out: dir,
		Overlays: []string{
			filepath.Join("..", "..", "config", "metrics.yaml"),
			"yaml:service::pipelines::logs/syscalls::receivers: [otlp]",
		},
		Env: []string{"PERFSCOPE_OTLP_GRPC_ENDPOINT=" + otlp, "PERFSCOPE_PROMETHEUS_ENDPOINT=" + scrape},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Stop()
	startPrometheus(t, prometheus, dir, api, scrape, a.MetricsAddr())

	conn, err := grpc.NewClient(otlp, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	tell := func(state string, severity plog.SeverityNumber) {
		ld := abnormal("redis", "keysCommand", time.Now())
		rec := ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0)
		rec.SetSeverityNumber(severity)
		rec.Attributes().PutStr("perfscope.anomaly.state", state)
		rec.Attributes().PutDouble("perfscope.anomaly.time_lost", 7.5)
		rec.SetTimestamp(0)
		rec.Attributes().PutStr("code.function.name", "keysCommand")
		if _, err := plogotlp.NewGRPCClient(conn).Export(t.Context(), plogotlp.NewExportRequestFromLogs(ld)); err != nil {
			t.Fatal(err)
		}
	}
	tell("raised", plog.SeverityNumberWarn)
	tell("updated", plog.SeverityNumberWarn)
	expect := func(queries map[string]string) { // within 20 s
		t.Helper()
		for query, want := range queries {
			var got string
			for deadline := time.Now().Add(20 * time.Second); got != want; time.Sleep(300 * time.Millisecond) {
				if time.Now().After(deadline) {
					t.Errorf("%s is %q, want %s", query, got, want)
					break
				}
				got = ask(api, query)
			}
		}
	}
	expect(map[string]string{
		`perfscope_anomalies_total{service_name="redis",host_name="redis-host",code_function_name="keysCommand"}`: "2",
		`perfscope_anomaly_score{service_name="redis"}`:                                                           "2",
		`perfscope_anomaly_open{service_name="redis"}`:                                                            "1",
		// The first anomaly of a function counts.
		strings.ReplaceAll(panel(t, "Anomalies reported in five minutes, by function"), "$service", "redis"): "2",
		`ALERTS{alertname="PerfScopeAnomaly",alertstate="firing",service_name="redis"}`:                      "1",
	})
	tell("cleared", plog.SeverityNumberInfo)
	expect(map[string]string{
		`perfscope_anomaly_open{service_name="redis"}`:                          "0",
		`count(ALERTS{alertname="PerfScopeAnomaly"}) or vector(0)`:              "0",
		`sum({__name__=~"perfscope_anomaly_time_lost.*",service_name="redis"})`: "7.5",
	})
	checkDashboard(t, api, conn)
}

// neverCounted are metrics that nothing happens for in this test, which has no syscall
// receiver; their names must be those that the components document.
var neverCounted = map[string]bool{
	"otelcol_processor_perfscope_spans_annotated": true,
	// There is no past of the service in this test.
	"otelcol_processor_perfscope_service_score": true, "otelcol_processor_perfscope_service_load": true,
	"otelcol_processor_perfscope_service_waiting": true, "otelcol_processor_perfscope_service_confidence": true,
	"otelcol_receiver_syscall_read_age": true, "otelcol_receiver_syscall_flush_age": true, "otelcol_receiver_syscall_quarantines": true,
}

// checkDashboard has the collector take calls and a span, so that it has figures
// of its own, and asks for every metric that the shipped dashboard and alert rules
// name.
func checkDashboard(t *testing.T, api string, conn *grpc.ClientConn) {
	t.Helper()
	now := time.Now()
	ld := plog.NewLogs()
	rl := ld.ResourceLogs().AppendEmpty()
	rl.Resource().Attributes().PutStr("service.name", "redis")
	rl.Resource().Attributes().PutStr("host.arch", "amd64")
	recs := rl.ScopeLogs().AppendEmpty().LogRecords()
	tracelog.AppendBatch(recs, tracelog.FormatPacked, "amd64", &threadtrace.Batch{
		ThreadID: 1, Events: []threadtrace.Event{{Time: now.UnixNano(), Duration: 1000}}, Dropped: 1,
	})
	if _, err := plogotlp.NewGRPCClient(conn).Export(t.Context(), plogotlp.NewExportRequestFromLogs(ld)); err != nil {
		t.Fatal(err)
	}
	if _, err := ptraceotlp.NewGRPCClient(conn).Export(t.Context(), ptraceotlp.NewExportRequestFromTraces(waitingFront(now))); err != nil {
		t.Fatal(err)
	}
	documented := ""
	for _, component := range []string{"processor/perfscopeprocessor", "receiver/syscallreceiver"} {
		text, err := os.ReadFile(filepath.Join("..", "..", component, "documentation.md"))
		if err != nil {
			t.Fatal(err)
		}
		documented += string(text)
	}
	metric := regexp.MustCompile(`\b(perfscope_anomal|otelcol_)[a-z_]+`)
	asked := map[string]bool{}
	queries := append(dashboardQueries(t), ruleQueries(t, api)...)
	if len(queries) < 9 {
		t.Errorf("only %d queries: %q", len(queries), queries)
	}
	for _, query := range queries {
		if got := ask(api, query); strings.Contains(got, `"status":"error"`) {
			t.Errorf("%s: %s", query, got)
		}
		for _, name := range metric.FindAllString(query, -1) {
			if asked[name] || name == "perfscope_anomaly_pattern" || name == "perfscope_anomaly_id" { // labels
				continue
			}
			asked[name] = true
			if neverCounted[name] {
				if !strings.Contains(documented, "### "+name+"\n") {
					t.Errorf("%s: no metric is documented that is called so", name)
				}
				continue
			}
			for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(300 * time.Millisecond) {
				n, err := strconv.Atoi(ask(api, fmt.Sprintf("count({__name__=%q})", name)))
				if err == nil && n > 0 {
					break
				}
				if time.Now().After(deadline) {
					t.Errorf("%s, of %s: there is no such metric", name, query)
					break
				}
			}
		}
	}
	t.Logf("%d queries about %d metrics", len(queries), len(asked))
}

// panel is the first query of a panel of the shipped dashboard.
func panel(t *testing.T, title string) string {
	t.Helper()
	for _, p := range dashboardPanels(t) {
		if p.Title == title {
			return p.Targets[0].Expr
		}
	}
	t.Fatalf("no panel is called %q", title)
	return ""
}

// dashboardQueries are those of the shipped dashboard, of all services.
func dashboardQueries(t *testing.T) (queries []string) {
	t.Helper()
	for _, p := range dashboardPanels(t) {
		for _, target := range p.Targets {
			queries = append(queries, strings.ReplaceAll(target.Expr, "$service", ".*"))
		}
	}
	return queries
}

type dashboardPanel struct {
	Title   string
	Targets []struct {
		Expr string
	}
}

func dashboardPanels(t *testing.T) []dashboardPanel {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "deploy", "grafana", "perfscope.json"))
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct{ Panels []dashboardPanel }
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	return dashboard.Panels
}

// ruleQueries are those of the alert rules, as Prometheus has read them.
func ruleQueries(t *testing.T, api string) (queries []string) {
	t.Helper()
	response, err := http.Get("http://" + api + "/api/v1/rules")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var a struct {
		Data struct {
			Groups []struct {
				Rules []struct {
					Query     string `json:"query"`
					LastError string `json:"lastError"`
				} `json:"rules"`
			} `json:"groups"`
		} `json:"data"`
	}
	if err := json.NewDecoder(response.Body).Decode(&a); err != nil {
		t.Fatal(err)
	}
	for _, g := range a.Data.Groups {
		for _, r := range g.Rules {
			queries = append(queries, r.Query)
			if r.LastError != "" {
				t.Errorf("%s: %s", r.Query, r.LastError)
			}
		}
	}
	return queries
}

func freeAddr(t *testing.T) string {
	t.Helper()
	addr, err := server.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	return addr
}

// startPrometheus starts it with the shipped alert rules, every second.
func startPrometheus(t *testing.T, path, dir, api string, scrape ...string) {
	t.Helper()
	rules, err := filepath.Abs(filepath.Join("..", "..", "deploy", "prometheus", "perfscope.rules.yml"))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "prometheus.yml")
	text := fmt.Sprintf("global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [%s]\n"+
		"scrape_configs: [{job_name: perfscope, honor_labels: true, static_configs: [{targets: ['%s']}]}]\n", rules, strings.Join(scrape, "', '"))
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	p, err := proc.Start(proc.Options{Path: path, Output: filepath.Join(dir, "prometheus.log"), Args: []string{
		"--config.file=" + file, "--storage.tsdb.path=" + filepath.Join(dir, "data"), "--web.listen-address=" + api,
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Stop(5 * time.Second) })
}

// ask returns the value of the first series of a query, or why there is none.
func ask(api, query string) string {
	response, err := http.Get("http://" + api + "/api/v1/query?query=" + url.QueryEscape(query))
	if err != nil {
		return err.Error()
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return err.Error()
	}
	var a struct {
		Data struct {
			Result []struct {
				Value [2]any `json:"value"`
			} `json:"result"`
		} `json:"data"`
	}
	if err := json.Unmarshal(body, &a); err != nil || len(a.Data.Result) == 0 {
		return strings.TrimSpace(string(body))
	}
	return fmt.Sprint(a.Data.Result[0].Value[1])
}
