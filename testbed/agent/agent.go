// Package agent runs the built collector with the shipped configuration and
// reads what it finds from the file it writes, as a user would.
package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/perfscope/perfscope/testbed/host"
	"github.com/perfscope/perfscope/testbed/proc"
	"github.com/perfscope/perfscope/testbed/server"
)

// Config says which collector to run.
type Config struct {
	// Binary is bin/otelcol-perfscope, File the configuration, Overlays
	// further ones that are merged into it.
	Binary, File string
	Overlays     []string
	// Args are further arguments.
	Args []string
	// Wrapper is a command that executes Binary in its place; empty for none.
	Wrapper []string
	// Out is the directory for the collector's log and its anomalies.
	Out string
	// Remember has it go on from what an earlier one in Out knew of the services.
	Remember bool
	// Env are further variables of the collector.
	Env []string
	// User runs the collector under another account.
	User string
	// Host is where it runs; nil for this machine. Elsewhere its metrics
	// cannot be read.
	Host *host.Host
}

// Agent is a running collector.
type Agent struct {
	*proc.Process
	// Log is the collector's console, AnomalyFile what its file exporter
	// wrote.
	Log, AnomalyFile string
	metrics          string
}

// startTimeout bounds the time from exec to "everything is ready".
const startTimeout = 30 * time.Second

// stopPatience is for a collector that has much to judge on a machine that is
// busy.
const stopPatience = time.Minute

// Start starts the collector and waits until its pipelines run.
func Start(ctx context.Context, cfg Config) (*Agent, error) {
	a := &Agent{
		Log:         filepath.Join(cfg.Out, "collector.log"),
		AnomalyFile: filepath.Join(cfg.Out, "anomalies.json"),
	}
	for _, old := range []string{a.Log, a.AnomalyFile} {
		if err := os.Remove(old); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
	}
	if !cfg.Remember {
		if err := os.RemoveAll(filepath.Join(cfg.Out, "state")); err != nil {
			return nil, err
		}
	}
	port, err := server.FreePort()
	if err != nil {
		return nil, err
	}
	a.metrics = fmt.Sprintf("http://localhost:%d/metrics", port)
	args := append(slices.Clone(cfg.Args), "--config", cfg.File)
	for _, file := range cfg.Overlays {
		args = append(args, "--config", file)
	}
	command := append(slices.Clone(cfg.Wrapper), cfg.Binary)
	p, err := proc.Start(proc.Options{
		Path: command[0], Args: append(command[1:], args...), Output: a.Log, User: cfg.User, Host: cfg.Host,
		Env: append([]string{
			"PERFSCOPE_ANOMALY_FILE=" + a.AnomalyFile,
			fmt.Sprintf("PERFSCOPE_METRICS_PORT=%d", port),
			// The usual ports may be taken by the machine's own collector.
			"PERFSCOPE_OTLP_GRPC_ENDPOINT=127.0.0.1:0",
			"PERFSCOPE_OTLP_HTTP_ENDPOINT=127.0.0.1:0",
			"PERFSCOPE_HEALTH_ENDPOINT=127.0.0.1:0",
			"PERFSCOPE_PAGE_ENDPOINT=127.0.0.1:0",
			"PERFSCOPE_STATE_DIRECTORY=" + filepath.Join(cfg.Out, "state"),
			"PERFSCOPE_EXPECTED_FILE=" + filepath.Join(cfg.Out, "expected"),
			"PERFSCOPE_REPORT_DIRECTORY=" + filepath.Join(cfg.Out, "reports"),
		}, cfg.Env...),
	})
	if err != nil {
		return nil, err
	}
	a.Process = p
	deadline := time.Now().Add(startTimeout)
	for {
		if log, err := os.ReadFile(a.Log); err == nil && bytes.Contains(log, []byte("Everything is ready")) {
			return a, nil
		}
		select {
		case <-p.Done():
			return nil, fmt.Errorf("the collector did not start: %s", a.lastLines())
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), a.Stop())
		case <-time.After(50 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return nil, errors.Join(fmt.Errorf("the collector is not ready after %s: %s", startTimeout, a.lastLines()), a.Stop())
		}
	}
}

// Stop ends the collector. An exit code other than zero is an error.
func (a *Agent) Stop() error {
	err := a.Process.Stop(stopPatience)
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return fmt.Errorf("the collector ended with %w: %s", exit, a.lastLines())
	}
	return err
}

// MetricsAddr is where the collector's own metrics are scraped, host:port.
func (a *Agent) MetricsAddr() string {
	return strings.TrimSuffix(strings.TrimPrefix(a.metrics, "http://"), "/metrics")
}

// Page is the address of the page, empty when its log does not tell it.
func (a *Agent) Page() string {
	log, err := os.ReadFile(a.Log)
	if err != nil {
		return ""
	}
	begun := bytes.LastIndex(log, []byte("The page is served.")) // of the last reload
	if begun < 0 {
		return ""
	}
	line, _, _ := bytes.Cut(log[begun:], []byte("\n"))
	_, at, _ := bytes.Cut(line, []byte(`"address": "`))
	address, _, _ := bytes.Cut(at, []byte(`"`))
	return string(address)
}

// Metrics returns the collector's own metrics as text.
func (a *Agent) Metrics(ctx context.Context) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, a.metrics, nil)
	if err != nil {
		return "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 4<<20))
	return string(text), err
}

// Total sums a counter of the collector's own metrics over its attributes;
// name is without the prefix and suffix that the Prometheus format adds.
func Total(metrics, name string) float64 {
	var total float64
	for line := range strings.Lines(metrics) {
		line = strings.TrimSpace(line)
		space := strings.LastIndexByte(line, ' ')
		if space < 0 {
			continue
		}
		series, value := line[:space], line[space+1:]
		series, _, _ = strings.Cut(series, "{")
		if strings.TrimSuffix(strings.TrimPrefix(series, "otelcol_"), "_total") == name {
			n, _ := strconv.ParseFloat(value, 64)
			total += n
		}
	}
	return total
}

func (a *Agent) lastLines() string {
	data, err := os.ReadFile(a.Log)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	return strings.Join(lines[max(0, len(lines)-3):], "\n")
}
