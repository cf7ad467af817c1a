//go:build linux

package e2e

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/perfscope/perfscope/testbed/agent"
	"github.com/perfscope/perfscope/testbed/load"
	"github.com/perfscope/perfscope/testbed/scenario"
	"github.com/perfscope/perfscope/testbed/server"
)

// TestRelease puts a build in the place of another whose handler costs a thousand times
// as much: one record says so, and names the handler.
func TestRelease(t *testing.T) {
	needRoot(t)
	var w scenario.Workload
	var err error
	for _, sc := range scenario.All() {
		if sc.Name == "ledger-release" {
			w, err = sc.Start(t.Context())
		}
	}
	if err != nil || w.Server == nil {
		t.Fatal("no ledger", err)
	}
	defer func() { _ = w.Server.Stop() }()
	l := load.Start(t.Context(), w.Load)
	defer l.Stop()
	a, err := agent.Start(t.Context(), agent.Config{Binary: binary, File: config, Out: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = a.Stop() }()
	time.Sleep(75 * time.Second)
	begun := time.Now()
	if _, err := w.Fault(t.Context()); err != nil {
		t.Fatal(err)
	}
	toldOfRelease(t, a, begun)
}

// TestRollingRelease has the next build run beside the old one, which goes on under its
// load.
func TestRollingRelease(t *testing.T) {
	needRoot(t)
	old, err := server.StartLedger(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = old.Stop() }()
	defer load.Start(t.Context(), scenario.LedgerLoad(old)).Stop()
	a, err := agent.Start(t.Context(), agent.Config{Binary: binary, File: config, Out: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = a.Stop() }()
	time.Sleep(75 * time.Second)
	begun := time.Now()
	next, err := server.StartNextLedger(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = next.Stop() }()
	defer load.Start(t.Context(), scenario.LedgerLoad(next)).Stop()
	toldOfRelease(t, a, begun)
}

// toldOfRelease waits for the record of the ledger's release, which is to name the handler.
func toldOfRelease(t *testing.T, a *agent.Agent, begun time.Time) {
	t.Helper()
	for time.Since(begun) < 4*time.Minute {
		time.Sleep(time.Second)
		data, err := os.ReadFile(a.AnomalyFile)
		if err != nil {
			continue
		}
		for line := range bytes.Lines(data) {
			if !bytes.Contains(line, []byte("perfscope.release.verdict")) {
				continue
			}
			text := string(line)
			if !strings.Contains(text, "main.(*ledger).showAccount is dearer") {
				t.Errorf("it does not name the handler first: %s", text)
			}
			t.Logf("told after %s", time.Since(begun).Round(time.Second))
			return
		}
	}
	log, _ := os.ReadFile(a.Log)
	t.Errorf("the release is not told:\n%s", log)
}
