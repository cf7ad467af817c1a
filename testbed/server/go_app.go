package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
)

// StartShelf builds and starts the testbed's own Go server, apps/shelf, with
// its data under the returned server's directory. flags are added to its
// command line.
func StartShelf(ctx context.Context, flags ...string) (*Server, error) {
	path, err := buildGo(ctx, "shelf", "")
	if err != nil {
		return nil, err
	}
	return startGo(ctx, "shelf", path, "shelf (Go)", func(addr, dir string) []string {
		return append([]string{"-listen", addr, "-data", filepath.Join(dir, "data")}, flags...)
	})
}

// StartNATS installs a version of nats-server from the module proxy, once,
// and starts it. flags are added to its command line.
func StartNATS(ctx context.Context, version string, flags ...string) (*Server, error) {
	path, err := installGo(ctx, "github.com/nats-io/nats-server/v2", version)
	if err != nil {
		return nil, err
	}
	return startGo(ctx, "nats", path, "nats-server "+version, func(addr, dir string) []string {
		host, port, _ := net.SplitHostPort(addr)
		return append([]string{"-a", host, "-p", port}, flags...)
	})
}

// StatsdExporter is a running statsd_exporter: Addr is where it is scraped,
// Metrics where it takes UDP packets.
type StatsdExporter struct {
	*Server
	Metrics string
}

// StartStatsdExporter installs a version of Prometheus' statsd_exporter from
// the module proxy, once, and starts it with rules that map metrics.
func StartStatsdExporter(ctx context.Context, version, rules string) (*StatsdExporter, error) {
	path, err := installGo(ctx, "github.com/prometheus/statsd_exporter", version)
	if err != nil {
		return nil, err
	}
	metrics, err := FreeAddr() // of TCP: the same port of UDP is as good as free
	if err != nil {
		return nil, err
	}
	var written error
	s, err := startGo(ctx, "statsd_exporter", path, "statsd_exporter "+version, func(addr, dir string) []string {
		file := filepath.Join(dir, "rules.yml")
		written = os.WriteFile(file, []byte(rules), 0o644) // without it the program ends at once
		return []string{
			"--web.listen-address=" + addr, "--statsd.listen-udp=" + metrics, "--statsd.listen-tcp=",
			"--statsd.mapping-config=" + file,
		}
	})
	if err != nil {
		return nil, errors.Join(err, written)
	}
	return &StatsdExporter{Server: s, Metrics: metrics}, nil
}

// installGo installs a program at a version under testbed/bin.
func installGo(ctx context.Context, pkg, version string) (string, error) {
	building.Lock()
	defer building.Unlock()
	root, err := Repository()
	if err != nil {
		return "", err
	}
	name := filepath.Base(pkg)
	if name == "v2" {
		name = filepath.Base(filepath.Dir(pkg))
	}
	dir := filepath.Join(root, "testbed", "bin", name+"-"+version)
	path := filepath.Join(dir, name)
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	install := exec.CommandContext(ctx, "go", "install", pkg+"@"+version)
	install.Env = append(os.Environ(), "GOBIN="+dir)
	install.Dir = os.TempDir() // outside every module
	if out, err := install.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go install %s@%s: %w: %s", pkg, version, err, out)
	}
	return path, nil
}

// startGo starts a Go server on a free address and waits until it listens.
func startGo(ctx context.Context, name, path, version string, args func(addr, dir string) []string) (*Server, error) {
	return StartProgram(ctx, Program{Name: name, Version: version, Path: path, Args: args, Env: []string{"OTEL_SERVICE_NAME=" + name}})
}
