package reportexporter

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/pdata/plog"
)

// told is the log record of an anomaly.
func told(id, state, function string) plog.Logs {
	ld := plog.NewLogs()
	rl := ld.ResourceLogs().AppendEmpty()
	rl.Resource().Attributes().PutStr("service.name", "redis")
	rl.Resource().Attributes().PutInt("process.pid", 42)
	rec := rl.ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	rec.SetEventName("perfscope.anomaly")
	rec.Body().SetStr("redis: " + function + " waits in fdatasync.")
	a := rec.Attributes()
	a.PutStr("perfscope.anomaly.id", id)
	a.PutStr("perfscope.anomaly.state", state)
	a.PutStr("perfscope.anomaly.onset", "2026-11-23T06:31:45Z")
	a.PutStr("perfscope.anomaly.end", "2026-11-23T06:31:55Z")
	s := a.PutEmptySlice("perfscope.suspects").AppendEmpty().SetEmptyMap()
	s.PutStr("code.function.name", function)
	s.PutStr("perfscope.module", "redis-server")
	s.PutDouble("perfscope.suspect.score", 0.8)
	s.PutEmptySlice("perfscope.suspect.evidence").AppendEmpty().SetStr("blocked")
	d := a.PutEmptySlice("perfscope.deviations").AppendEmpty().SetEmptyMap()
	d.PutStr("perfscope.syscall.name", "fdatasync")
	d.PutEmptyMap("abnormal").PutDouble("rate", 400)
	return ld
}

func newTest(t *testing.T, adjust func(*Config)) (*reporter, *bytes.Buffer, func()) {
	t.Helper()
	cfg := createDefaultConfig().(*Config)
	cfg.Directory = filepath.Join(t.TempDir(), "reports")
	if adjust != nil {
		adjust(cfg)
	}
	require.NoError(t, cfg.Validate())
	r, err := newReporter(cfg, componenttest.NewNopTelemetrySettings())
	require.NoError(t, err)
	var console bytes.Buffer
	r.console = &console
	require.NoError(t, r.start(t.Context(), componenttest.NewNopHost()))
	return r, &console, func() { require.NoError(t, r.shutdown(context.Background())) }
}

func TestAnAnomalyOnTheConsole(t *testing.T) {
	r, console, end := newTest(t, nil)
	say := func(state, function string) string {
		console.Reset()
		require.NoError(t, r.consume(t.Context(), told("a1", state, function)))
		return console.String()
	}
	raised := say("raised", "flush")
	assert.Contains(t, raised, "redis: flush waits in fdatasync.")
	assert.Contains(t, raised, "perfscope-a1.html")
	assert.LessOrEqual(t, strings.Count(raised, "\n"), 15)
	assert.Empty(t, say("updated", "flush"), "nothing new")
	assert.Equal(t, 1, strings.Count(say("updated", "other"), "\n"), "another first suspect")
	assert.Equal(t, 1, strings.Count(say("cleared", "other"), "\n"))
	repeat := told("a2", "raised", "flush")
	repeat.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0).Attributes().PutBool("perfscope.anomaly.repeat", true)
	console.Reset()
	require.NoError(t, r.consume(t.Context(), repeat))
	assert.Empty(t, console.String(), "a repeat is for a gateway")
	end()
}

// TestOtherRecordsAreALineOnTheConsole, whatever a target's names are.
func TestOtherRecordsAreALineOnTheConsole(t *testing.T) {
	for event, want := range map[string]string{
		"perfscope.release": "RELEASE  shop: it is so", "perfscope.tail": "SLOW     shop: it is so", "perfscope.other": "",
	} {
		r, console, end := newTest(t, nil)
		ld := told("a1", "raised", "flush")
		rec := ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0)
		rec.SetEventName(event)
		rec.Body().SetStr("shop: it is\x1b[2J so.\n")
		require.NoError(t, r.consume(t.Context(), ld))
		assert.Equal(t, min(1, len(want)), strings.Count(console.String(), "\n"), event)
		assert.Contains(t, strings.ReplaceAll(console.String(), "[2J", ""), want, event)
		assert.NotContains(t, console.String(), "\x1b")
		end()
	}
}

func TestAFileForEachAnomaly(t *testing.T) {
	r, _, end := newTest(t, func(c *Config) { c.MaxFiles = 3 })
	other := filepath.Join(r.cfg.Directory, "other.html")
	require.NoError(t, os.WriteFile(other, nil, 0o600))
	for i := range 6 {
		require.NoError(t, r.consume(t.Context(), told(fmt.Sprint("a", i), "raised", "flush")))
	}
	require.NoError(t, r.consume(t.Context(), told("zz/../up", "raised", "<script>alert(1)</script>")))
	end()
	files, err := os.ReadDir(r.cfg.Directory)
	require.NoError(t, err)
	var names []string
	for _, f := range files {
		names = append(names, f.Name())
	}
	assert.Equal(t, []string{"other.html", "perfscope-a4.html", "perfscope-a5.html", "perfscope-zz____up.html"}, names)
	page, err := os.ReadFile(filepath.Join(r.cfg.Directory, "perfscope-zz____up.html"))
	require.NoError(t, err)
	assert.NotContains(t, string(page), "<script>alert")
	assert.Contains(t, string(page), "&lt;script&gt;alert(1)")
}

func TestAnIncidentIsAFile(t *testing.T) {
	r, _, end := newTest(t, nil)
	require.NoError(t, r.consume(t.Context(), told("a1", "raised", "flush")))
	ld := plog.NewLogs()
	rec := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	rec.SetEventName("perfscope.incident")
	rec.Body().SetStr("flush in redis is the first cause; slow by waiting for it: shop.")
	rec.Attributes().PutStr("perfscope.incident.id", "i1")
	for _, c := range [][2]string{{"redis", "cause"}, {"shop", "victim"}} {
		list, ok := rec.Attributes().Get("perfscope.causes")
		if !ok {
			list = rec.Attributes().PutEmpty("perfscope.causes")
			list.SetEmptySlice()
		}
		m := list.Slice().AppendEmpty().SetEmptyMap()
		m.PutStr("perfscope.cause.service", c[0])
		m.PutStr("perfscope.cause.role", c[1])
		m.PutStr("perfscope.anomaly.id", "a1")
	}
	require.NoError(t, r.consume(t.Context(), ld))
	end()
	page, err := os.ReadFile(filepath.Join(r.cfg.Directory, "perfscope-i1.html"))
	require.NoError(t, err)
	for _, want := range []string{"The incident", "slow by waiting for it: shop", "victim", "flush"} {
		assert.Contains(t, string(page), want)
	}
}

func TestConfig(t *testing.T) {
	require.ErrorContains(t, (&Config{MaxFiles: 0, MaxBytes: 1 << 20}).Validate(), "max_files is 0")
	require.ErrorContains(t, (&Config{MaxFiles: 1, MaxBytes: 1}).Validate(), "max_bytes is 1")
}
