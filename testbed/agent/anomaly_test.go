package agent

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"
)

const line = `{"resourceLogs":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"redis"}},` +
	`{"key":"process.pid","value":{"intValue":"42"}}]},"scopeLogs":[{"logRecords":[` +
	`{"eventName":"other"},` +
	`{"severityNumber":13,"severityText":"WARN","eventName":"perfscope.anomaly","body":{"stringValue":"It waits."},"attributes":[` +
	`{"key":"perfscope.anomaly.end","value":{"stringValue":"2026-01-02T03:04:05.5Z"}},` +
	`{"key":"perfscope.anomaly.score","value":{"doubleValue":2}},` +
	`{"key":"perfscope.suspects","value":{"arrayValue":{"values":[{"kvlistValue":{"values":[` +
	`{"key":"code.function.name","value":{"stringValue":"flush.part.0"}},{"key":"perfscope.module","value":{"stringValue":"redis-server"}},` +
	`{"key":"perfscope.suspect.score","value":{"doubleValue":0.75}},` +
	`{"key":"perfscope.suspect.evidence","value":{"arrayValue":{"values":[{"stringValue":"blocked"}]}}}]}}]}}}` +
	`]}]}]}]}`

func TestFollow(t *testing.T) {
	path := filepath.Join(t.TempDir(), "anomalies.json")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	got, done := make(chan Anomaly, 2), make(chan error, 1)
	go func() { done <- Follow(ctx, path, func(a Anomaly) { got <- a }) }()

	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	// A line that comes in two pieces is one line.
	for _, piece := range []string{line[:100], line[100:] + "\n"} {
		if _, err := file.WriteString(piece); err != nil {
			t.Fatal(err)
		}
		time.Sleep(60 * time.Millisecond)
	}
	a := <-got
	if a.Service != "redis" || a.PID != 42 || !a.Warn || a.Score != 2 || a.Sentence != "It waits." {
		t.Errorf("got %+v", a)
	}
	if !a.End.Equal(time.Date(2026, 1, 2, 3, 4, 5, 5e8, time.UTC)) {
		t.Errorf("end %s", a.End)
	}
	if len(a.Suspects) != 1 || a.Suspects[0].Module != "redis-server" || a.Suspects[0].Score != 0.75 || a.Suspects[0].Evidence[0] != "blocked" {
		t.Errorf("suspects %+v", a.Suspects)
	}
	if a.Rank([]string{"other", "flush"}) != 1 || a.Rank([]string{"flus"}) != 0 {
		t.Error("rank: a compiler's clone counts, a name that only begins alike does not")
	}
	if _, err := file.WriteString("no JSON\n"); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err == nil {
		t.Error("a line that can't be read goes unseen")
	}
}

func TestTotal(t *testing.T) {
	metrics := "# TYPE x counter\notelcol_x_total{a=\"1\"} 2\notelcol_x_total{a=\"2\"} 3e+06\notelcol_xy_total{} 5\nx 1\n"
	if got := Total(metrics, "x"); got != 3000003 {
		t.Errorf("got %v", got)
	}
}
