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
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

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
	startPrometheus(t, prometheus, dir, scrape, api)

	conn, err := grpc.NewClient(otlp, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	tell := func() {
		ld := abnormal("redis", "keysCommand", time.Now())
		rec := ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0)
		rec.SetSeverityNumber(plog.SeverityNumberWarn)
		rec.SetTimestamp(0)
		rec.Attributes().PutStr("code.function.name", "keysCommand")
		if _, err := plogotlp.NewGRPCClient(conn).Export(t.Context(), plogotlp.NewExportRequestFromLogs(ld)); err != nil {
			t.Fatal(err)
		}
	}
	tell()
	tell()
	for query, want := range map[string]string{
		`perfscope_anomalies_total{service_name="redis",host_name="redis-host",code_function_name="keysCommand"}`: "2",
		`perfscope_anomaly_score{service_name="redis"}`:                                                           "2",
		`ALERTS{alertname="PerfScopeAnomaly",alertstate="firing",service_name="redis"}`:                           "1",
	} {
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

func freeAddr(t *testing.T) string {
	t.Helper()
	addr, err := server.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	return addr
}

// startPrometheus starts it with the shipped alert rules, every second.
func startPrometheus(t *testing.T, path, dir, scrape, api string) {
	t.Helper()
	rules, err := filepath.Abs(filepath.Join("..", "..", "deploy", "prometheus", "perfscope.rules.yml"))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "prometheus.yml")
	text := fmt.Sprintf("global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [%s]\n"+
		"scrape_configs: [{job_name: perfscope, honor_labels: true, static_configs: [{targets: ['%s']}]}]\n", rules, scrape)
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
