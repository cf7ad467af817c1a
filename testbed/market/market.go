// Package market runs a small distributed application, instrumented with
// OpenTelemetry, on three hosts, with an agent on each and a gateway:
//
//	front (Go, otelhttp) ── gRPC ─► quote (Go, otelgrpc)
//	                     ── HTTP ─► stock (Node, auto-instrumentation) ─► redis
//	                                                                    ─► postgres
//
// The databases have no spans of their own.
package market

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/perfscope/perfscope/testbed/agent"
	"github.com/perfscope/perfscope/testbed/client"
	"github.com/perfscope/perfscope/testbed/host"
	"github.com/perfscope/perfscope/testbed/server"
)

// Config says what to run.
type Config struct {
	// Agent and Gateway are the collectors' programs; the agents' needs the
	// load_balancing exporter.
	Agent, Gateway string
	// Configs is the folder of the shipped configurations.
	Configs string
	// GatewayOverlays are merged into the gateway's configuration, GatewayEnv
	// are variables of it.
	GatewayOverlays, GatewayEnv []string
	// Out is where logs and results go.
	Out string
}

// Market is the running application.
type Market struct {
	Front, Quote, Stock, Redis, Postgres *server.Server
	// Spans and Anomalies are the files that the gateway writes.
	Spans, Anomalies string

	// endFault ends what makes a database busy; busy is when it did, read
	// when it has ended.
	endFault func() error
	busy     []stretch
	cfg      Config
	network  *host.Network
	agents   []*agent.Agent
	gateway  *agent.Agent
}

// The ports on the hosts.
const (
	frontPort   = 8080
	quotePort   = 8081
	stockPort   = 8082
	quoteAdmin  = 8091
	gatewayPort = 4317
	otlpGRPC    = "127.0.0.1:4317"
	otlpHTTP    = "127.0.0.1:4318"
)

// rows is how many accounts postgres has: enough for a scan of them to be felt.
const rows = 100_000

// Start brings everything up. Stop must be called, unless it fails.
func Start(ctx context.Context, cfg Config) (_ *Market, err error) {
	m := &Market{cfg: cfg, Spans: filepath.Join(cfg.Out, "spans.json")}
	defer func() {
		if err != nil {
			err = errors.Join(err, m.Stop())
		}
	}()
	if m.network, err = host.Up("front", "middle", "data"); err != nil {
		return nil, err
	}
	for _, start := range []func(context.Context) error{m.databases, m.services, m.startGateway, m.startAgents} {
		if err := start(ctx); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *Market) databases(ctx context.Context) (err error) {
	data := m.network.Hosts["data"]
	if m.Redis, err = server.StartRedisOn(ctx, data, "--enable-debug-command", "yes"); err != nil {
		return err
	}
	if err := m.redis("DEBUG", "POPULATE", "300000", "session"); err != nil {
		return err
	}
	if m.Postgres, err = server.StartPostgresOn(ctx, data, "-c", "synchronous_commit=off", "-c", "max_parallel_workers_per_gather=0", "-c", "autovacuum=off"); err != nil {
		return err
	}
	return m.sql(fmt.Sprintf(`CREATE TABLE accounts (id int PRIMARY KEY, balance int NOT NULL, note text);
		INSERT INTO accounts SELECT i, i %% 100, repeat('x', 100) FROM generate_series(1, %d) i;
		ANALYZE accounts`, rows))
}

func (m *Market) sql(query string) error {
	c, err := client.DialPostgres(m.Postgres.Addr, "postgres", "postgres")
	if err != nil {
		return err
	}
	return errors.Join(c.Query(query), c.Close())
}

func (m *Market) services(ctx context.Context) (err error) {
	root, err := server.Repository()
	if err != nil {
		return err
	}
	bin := filepath.Join(root, "testbed", "bin")
	build := exec.CommandContext(ctx, "go", "build", "-o", bin+"/", "./front", "./quote")
	build.Dir = filepath.Join(root, "testbed", "apps", "market")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("go build in %s: %w: %s", build.Dir, err, out)
	}
	middle := m.network.Hosts["middle"]
	if m.Quote, err = server.StartProgram(ctx, server.Program{
		Name: "quote", Path: filepath.Join(bin, "quote"), Host: middle, Port: quotePort, Env: instrumented("quote"),
		Args: func(addr, dir string) []string {
			return []string{"-data", dir, "-listen", addr, "-admin", fmt.Sprintf("%s:%d", middle.IP, quoteAdmin)}
		},
	}); err != nil {
		return err
	}
	if m.Stock, err = m.startStock(ctx, filepath.Join(root, "testbed", "apps", "stock")); err != nil {
		return err
	}
	m.Front, err = server.StartProgram(ctx, server.Program{
		Name: "front", Path: filepath.Join(bin, "front"), Host: m.network.Hosts["front"], Port: frontPort, Env: instrumented("front"),
		Args: func(addr, _ string) []string {
			return []string{"-listen", addr, "-quote", m.Quote.Addr, "-stock", m.Stock.Addr}
		},
	})
	return err
}

func (m *Market) startStock(ctx context.Context, source string) (*server.Server, error) {
	node, err := server.Find("node")
	if err != nil {
		return nil, err
	}
	if err := server.InstallPackages(ctx, source); err != nil {
		return nil, err
	}
	return server.StartProgram(ctx, server.Program{
		Name: "stock", Path: node, Host: m.network.Hosts["middle"], Port: stockPort,
		Env: append(instrumented("stock"),
			"OTEL_EXPORTER_OTLP_ENDPOINT=http://"+otlpHTTP, "OTEL_METRICS_EXPORTER=none", "OTEL_LOGS_EXPORTER=none",
			"OTEL_NODE_ENABLED_INSTRUMENTATIONS=http,ioredis,pg", "OTEL_NODE_RESOURCE_DETECTORS=env,host,process",
			"NODE_PATH="+filepath.Join(source, "node_modules"),
		),
		Args: func(addr, dir string) []string {
			return []string{
				"--perf-basic-prof", "--interpreted-frames-native-stack",
				"--require", "@opentelemetry/auto-instrumentations-node/register",
				filepath.Join(source, "server.js"), "--listen", addr, "--data", dir, "--rows", fmt.Sprint(rows),
				"--redis", "redis://" + m.Redis.Addr, "--postgres", "postgres://postgres@" + m.Postgres.Addr + "/postgres",
			}
		},
	})
}

// instrumented is the environment of a service with an SDK. Spans are sent
// once a second, so that a run need not wait for them.
func instrumented(name string) []string {
	return []string{
		"OTEL_SERVICE_NAME=" + name, "OTEL_EXPORTER_OTLP_ENDPOINT=http://" + otlpGRPC, "OTEL_EXPORTER_OTLP_INSECURE=true",
		"OTEL_BSP_SCHEDULE_DELAY=1000",
	}
}

func (m *Market) startGateway(ctx context.Context) (err error) {
	out := filepath.Join(m.cfg.Out, "gateway")
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	if err := os.RemoveAll(m.Spans); err != nil {
		return err
	}
	// All spans of a run in one file.
	overlay := filepath.Join(out, "spans.yaml")
	if err := os.WriteFile(overlay, []byte("exporters:\n  file/spans:\n    rotation:\n      max_megabytes: 4096\n"), 0o644); err != nil {
		return err
	}
	m.gateway, err = agent.Start(ctx, agent.Config{
		Binary: m.cfg.Gateway, File: filepath.Join(m.cfg.Configs, "gateway.yaml"), Out: out,
		Overlays: append([]string{overlay}, m.cfg.GatewayOverlays...),
		Env: append([]string{
			fmt.Sprintf("PERFSCOPE_GATEWAY_ENDPOINT=%s:%d", m.network.IP, gatewayPort),
			"PERFSCOPE_SPAN_EXPORTERS=[file/spans]", "PERFSCOPE_SPAN_FILE=" + m.Spans,
		}, m.cfg.GatewayEnv...),
	})
	if err == nil {
		m.Anomalies = m.gateway.AnomalyFile
	}
	return err
}

// startAgents starts one on each host. They share /proc: each is told what is
// its own.
func (m *Market) startAgents(ctx context.Context) error {
	targets := map[string]string{
		"front":  `[{otel_service_name: front}]`,
		"middle": `[{otel_service_name: quote}, {otel_service_name: stock}]`,
		"data": fmt.Sprintf(`[{pid: %d, service_name: redis}, {pid: %d, service_name: postgres}]`,
			m.Redis.PID(), m.Postgres.PID()),
	}
	for name, rules := range targets {
		out := filepath.Join(m.cfg.Out, name)
		if err := os.MkdirAll(out, 0o755); err != nil {
			return err
		}
		overlay := filepath.Join(out, "targets.yaml")
		// The hosts share the processes of one machine, whose name is not theirs.
		h := m.network.Hosts[name]
		text := strings.Join([]string{
			"receivers:", "  syscall:", "    targets: " + rules, fmt.Sprintf("    host: {name: %s, id: %q}", h.Name, h.ID), "",
		}, "\n")
		if err := os.WriteFile(overlay, []byte(text), 0o644); err != nil {
			return err
		}
		a, err := agent.Start(ctx, agent.Config{
			Binary: m.cfg.Agent, File: filepath.Join(m.cfg.Configs, "agent.yaml"), Out: out, Host: h,
			Overlays: []string{filepath.Join(m.cfg.Configs, "agent-gateway.yaml"), overlay},
			Env: []string{
				"PERFSCOPE_OTLP_GRPC_ENDPOINT=" + otlpGRPC, "PERFSCOPE_OTLP_HTTP_ENDPOINT=" + otlpHTTP,
				"PERFSCOPE_HEALTH_ENDPOINT=127.0.0.1:0",
				"PERFSCOPE_PAGE_ENDPOINT=127.0.0.1:0",
				fmt.Sprintf("PERFSCOPE_GATEWAYS=[%s:%d]", m.network.IP, gatewayPort), "PERFSCOPE_NAMESPACE=market",
			},
		})
		if err != nil {
			return fmt.Errorf("the agent of %s: %w", name, err)
		}
		m.agents = append(m.agents, a)
	}
	return nil
}

// StopCollectors ends the agents, then the gateway: every span is written.
func (m *Market) StopCollectors() error {
	var errs []error
	for _, a := range m.agents {
		errs = append(errs, a.Stop())
	}
	m.agents = nil
	if m.gateway != nil {
		errs = append(errs, m.gateway.Stop())
		m.gateway = nil
	}
	return errors.Join(errs...)
}

// Stop ends everything.
func (m *Market) Stop() error {
	errs := []error{}
	for _, s := range []*server.Server{m.Front, m.Stock, m.Quote} {
		if s != nil {
			errs = append(errs, s.Stop())
		}
	}
	if m.Stock != nil {
		server.RemovePerfMap(m.Stock)
	}
	errs = append(errs, m.StopCollectors())
	for _, s := range []*server.Server{m.Redis, m.Postgres} {
		if s != nil {
			errs = append(errs, s.Stop())
		}
	}
	if m.network != nil {
		errs = append(errs, m.network.Down())
	}
	return errors.Join(errs...)
}

// Alive is an error when something that has to run has ended.
func (m *Market) Alive() error {
	for _, s := range []*server.Server{m.Front, m.Quote, m.Stock, m.Redis, m.Postgres} {
		select {
		case <-s.Done():
			return fmt.Errorf("the server in %s ended: %w", s.Dir, s.Err())
		default:
		}
	}
	for _, a := range append(m.agents, m.gateway) {
		select {
		case <-a.Done():
			return fmt.Errorf("a collector ended: %w (see %s)", a.Err(), a.Log)
		default:
		}
	}
	return nil
}
