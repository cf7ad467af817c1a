//go:build linux

package install

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/perfscope/perfscope/testbed/client"
	"github.com/perfscope/perfscope/testbed/host"
	"github.com/perfscope/perfscope/testbed/load"
	"github.com/perfscope/perfscope/testbed/scenario"
)

// What Kubernetes would have chosen.
const (
	ordersUID       = "275ecb36-5aa8-4c2a-9c47-d8bb681b9aff"
	ordersContainer = "3f4e8c1b5a7d90263f4e8c1b5a7d90263f4e8c1b5a7d90263f4e8c1b5a7d9026"
	ordersPod       = "orders-7d9f5c6b54-x2k8p"
	agentUID        = "8a6f1c52-0b43-4e1d-8f0e-5b2d6c7a9e10"
	agentContainer  = "b1946ac92492d2347c6235b4d2611184b1946ac92492d2347c6235b4d2611184"
)

// TestThePodOfTheChart renders the chart, starts the agent as the rendered pod asks
// for (user, capabilities, seccomp profile, mounts, namespaces, control group) under
// runc, and a redis in another pod without any instrumentation. When that becomes slow,
// the anomaly must name the function and the pod, and the spans of the redis's client,
// which has an SDK, must have it as an event.
func TestThePodOfTheChart(t *testing.T) {
	if testing.Short() {
		t.Skip("takes more than a minute: the agent has to learn what is normal")
	}
	runc := needRunc(t)
	network, err := host.Up("agent", "orders")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := network.Down(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { removePods(t) })
	bundle := bundleTool(t)
	redis := startOrders(t, runc, network.Hosts["orders"])
	backend, url := startBackend(t, network.IP, "0")

	values := filepath.Join(t.TempDir(), "values.yaml")
	write(t, values, fmt.Sprintf(`
gateway: {enabled: false}
k8sattributes: false
backend: {endpoint: %q}
agent:
  targets:
    - k8s_namespace: shop
      k8s_deployment: orders
`, url), 0o644)
	dir := agentBundle(t, bundle, values, network.Hosts["agent"])
	agent := runBundle(t, runc, dir, agentContainer)
	t.Cleanup(func() {
		if t.Failed() {
			text := read(t, agent.Log)
			t.Logf("the agent's log ends with:\n%s", text[max(0, len(text)-20_000):])
		}
	})
	checkConfined(t, agent.pid(t, runc), os.Getpid())

	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	said(ctx, t, agent.Log, "A service is found")
	shop := startShop(ctx, t, redis, network.Hosts["agent"].IP)
	said(ctx, t, agent.Log, "A service is learned")
	pause(ctx, 10*time.Second) // a past of two hops more
	onset := time.Now()
	end, err := scenario.PollKeys(ctx, redis, func(_, _ time.Time) {})
	if err != nil {
		t.Fatal(err)
	}
	defer end()
	found := backend.awaitAnomaly(ctx, t, onset, []string{"keysCommand", "stringmatchlen", "stringmatchlen_impl"})
	t.Logf("%.1f s after the fault: %s", time.Since(onset).Seconds(), found.record.Body().Str())
	checkIdentity(t, found.resource)
	backend.awaitClientSpans(ctx, t, found, onset)
	shop.stop(t)
}

func needRunc(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: containers and eBPF programs")
	}
	for _, path := range []string{"runc", "/usr/sbin/runc"} {
		if runc, err := exec.LookPath(path); err == nil {
			return runc
		}
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("runc is not installed: make deps-all")
	}
	t.Skip("needs runc: make deps-all")
	return ""
}

// bundleTool builds the command that makes a bundle of the rendered pod. It is of
// another module, which has Helm's and Kubernetes' packages.
func bundleTool(t *testing.T) string {
	t.Helper()
	tool := filepath.Join(t.TempDir(), "bundle")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", tool, "./cmd/bundle")
	build.Dir = filepath.Join("..", "..", "internal", "packaging")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return tool
}

// agentBundle is the rendered pod of the agent on a node whose kubelet has made the
// links of both pods' logs.
func agentBundle(t *testing.T, tool, values string, agent *host.Host) (dir string) {
	t.Helper()
	node, checkout := t.TempDir(), filepath.Join("..", "..")
	write(t, filepath.Join(node, "var/log/containers", ordersPod+"_shop_redis-"+ordersContainer+".log"), "", 0o644)
	if _, err := os.Stat("/etc/machine-id"); err != nil {
		write(t, filepath.Join(node, "etc/machine-id"), "fdbf79e8af94cb7f9e8df36789187052\n", 0o644)
	}
	dir, err := os.MkdirTemp("/var/tmp", "perfscope-pod-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	run(t, tool, "-chart", filepath.Join(checkout, "deploy/helm/perfscope"), "-values", values,
		"-binary", filepath.Join(checkout, "bin/otelcol-perfscope"), "-node", "worker-1", "-files", node,
		"-uid", agentUID, "-container", agentContainer, "-network", agent.Network(), "-out", dir)
	return dir
}

// startOrders starts a redis with 300,000 keys in a pod of its own, and a load that
// no SDK sees.
func startOrders(t *testing.T, runc string, on *host.Host) (addr string) {
	t.Helper()
	redis, err := exec.LookPath("redis-server")
	if err != nil {
		t.Fatal("redis-server is not installed: make deps")
	}
	pod := serverPod{
		name: ordersPod, network: on.Network(),
		cgroup: filepath.Join("/kubepods/besteffort", "pod"+ordersUID, ordersContainer),
		args:   []string{redis, "--bind", "0.0.0.0", "--protected-mode", "no", "--port", "6379", "--save", "", "--enable-debug-command", "yes"},
	}
	c := runBundle(t, runc, pod.bundle(t, runc), ordersContainer)
	c.pid(t, runc)
	addr = net.JoinHostPort(on.IP, "6379")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	said(ctx, t, c.Log, "Ready to accept connections")
	conn, err := client.DialRedis(addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Do("DEBUG", "POPULATE", "300000", "session"); err != nil {
		t.Fatal(err)
	}
	l := load.Start(t.Context(), load.Config{Workers: 8, Rate: 1000, Dial: func() (load.Client, error) {
		c, err := client.DialRedis(addr)
		return getter{c}, err
	}})
	t.Cleanup(l.Stop)
	return addr
}

type getter struct{ *client.Redis }

func (g getter) Request(r *rand.Rand) error {
	_, err := g.Do("GET", "session:"+strconv.Itoa(r.IntN(300_000)))
	return err
}

// checkConfined compares the agent's process with what the pod asks for.
func checkConfined(t *testing.T, pid, node int) {
	t.Helper()
	status := read(t, fmt.Sprintf("/proc/%d/status", pid))
	for _, want := range []string{
		"Uid:\t0\t0\t0\t0\n", "CapPrm:\t000000c000080004\n", "CapEff:\t000000c000080004\n", "CapBnd:\t000000c000080004\n",
		"NoNewPrivs:\t1\n", "Seccomp:\t2\n",
	} {
		if !strings.Contains(status, want) {
			t.Errorf("the agent does not run with %q:\n%s", want, status)
		}
	}
	own, nodes := namespacesOf(t, pid), namespacesOf(t, node)
	for kind, shared := range map[string]bool{"mnt": false, "net": false, "uts": false, "ipc": false, "cgroup": false, "pid": true} {
		if (own[kind] == nodes[kind]) != shared {
			t.Errorf("namespace %s: the agent's is %s, the node's %s; shared is to be %v", kind, own[kind], nodes[kind], shared)
		}
	}
	if cgroup := read(t, fmt.Sprintf("/proc/%d/cgroup", pid)); !strings.Contains(cgroup, "/kubepods/burstable/pod"+agentUID+"/"+agentContainer) {
		t.Errorf("the agent's control groups are\n%s", cgroup)
	}
	mounts := read(t, fmt.Sprintf("/proc/%d/mountinfo", pid))
	for _, want := range []string{" / ro,", " /sys ro,", " /etc/machine-id ro,", " /var/log/containers ro,", " /etc/perfscope/chart ro,"} {
		if !strings.Contains(mounts, want) {
			t.Errorf("no mount %q:\n%s", want, mounts)
		}
	}
}

// checkIdentity holds what the anomaly says of the pod, by the rules alone: nothing
// asks an API server here.
func checkIdentity(t *testing.T, resource pcommon.Map) {
	t.Helper()
	for key, want := range map[string]string{
		"service.name": "redis-server", "k8s.namespace.name": "shop", "k8s.deployment.name": "orders", "k8s.pod.name": ordersPod,
		"k8s.container.name": "redis", "k8s.pod.uid": ordersUID, "container.id": ordersContainer,
		"host.name": "worker-1", // not the pod's
	} {
		if got, _ := resource.Get(key); got.AsString() != want {
			t.Errorf("%s is %q, want %q", key, got.AsString(), want)
		}
	}
}

// awaitAnomaly waits for one after the fault with one of some functions among its
// first three suspects.
func (b *backend) awaitAnomaly(ctx context.Context, t *testing.T, onset time.Time, functions []string) told {
	t.Helper()
	var seen []string
	for ctx.Err() == nil {
		anomalies, _ := b.look()
		seen = seen[:0]
		for _, a := range anomalies {
			seen = append(seen, a.record.SeverityText()+" "+a.record.Body().Str())
			suspects, there := a.record.Attributes().Get("perfscope.suspects")
			if !there || a.record.Timestamp().AsTime().Before(onset.Add(-5*time.Second)) || a.record.SeverityText() != "WARN" {
				continue
			}
			for i := range min(3, suspects.Slice().Len()) {
				name, _ := suspects.Slice().At(i).Map().Get("code.function.name")
				if slices.Contains(functions, name.Str()) {
					return a
				}
			}
		}
		pause(ctx, 200*time.Millisecond)
	}
	t.Fatalf("no anomaly names one of %v; what came:\n%s", functions, strings.Join(seen, "\n"))
	return told{}
}

// awaitClientSpans waits until spans of the client have the anomaly as an event, and
// holds that none from well before the fault has one.
func (b *backend) awaitClientSpans(ctx context.Context, t *testing.T, found told, onset time.Time) {
	t.Helper()
	id, _ := found.record.Attributes().Get("perfscope.anomaly.id")
	const enough = 5
	var with, clean, early int
	for with < enough && ctx.Err() == nil {
		pause(ctx, 200*time.Millisecond)
		_, spans := b.look()
		with, clean, early = 0, 0, 0
		for _, span := range spans {
			switch has := hasAnomaly(span, id.Str()); {
			case has && span.EndTimestamp().AsTime().Before(onset.Add(-5*time.Second)):
				early++
			case has:
				with++
			default:
				clean++
			}
		}
	}
	t.Logf("client spans: %d with the anomaly, %d without", with, clean)
	// A span is early when an excursion just before the fault is told with it.
	if with < enough || early > with/20 {
		t.Errorf("%d client spans have the anomaly %s, %d of them from before the fault", with+early, id.Str(), early)
	}
}

func hasAnomaly(span ptrace.Span, id string) bool {
	for _, e := range span.Events().All() {
		if got, _ := e.Attributes().Get("perfscope.anomaly.id"); e.Name() == "perfscope.anomaly" && got.AsString() == id {
			return true
		}
	}
	return false
}

// removePods removes the control groups that runc made above the containers'.
func removePods(t *testing.T) {
	t.Helper()
	for _, pod := range []string{"kubepods/besteffort/pod" + ordersUID, "kubepods/burstable/pod" + agentUID} {
		for _, pattern := range []string{"/sys/fs/cgroup/", "/sys/fs/cgroup/*/"} {
			found, _ := filepath.Glob(pattern + pod)
			for _, dir := range found {
				removeGroups(dir)
				// Those above may be of other pods, too: they stay then.
				_ = os.Remove(filepath.Dir(dir))
				_ = os.Remove(filepath.Dir(filepath.Dir(dir)))
			}
		}
	}
}

// shop calls redis and sends a client span of each of its requests to the node's agent.
type shop struct {
	cancel context.CancelFunc
	done   chan error
}

func startShop(ctx context.Context, t *testing.T, redis, agentIP string) shop {
	t.Helper()
	conn, err := client.DialRedis(redis)
	if err != nil {
		t.Fatal(err)
	}
	otlp, err := grpc.NewClient(net.JoinHostPort(agentIP, "4317"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(ctx)
	s := shop{cancel: cancel, done: make(chan error, 1)}
	go func() {
		defer conn.Close()
		defer otlp.Close()
		s.done <- s.trade(ctx, conn, redis, ptraceotlp.NewGRPCClient(otlp))
	}()
	t.Cleanup(cancel)
	return s
}

// trade makes requests of some GETs each and sends their spans every second.
func (s shop) trade(ctx context.Context, conn *client.Redis, redis string, otlp ptraceotlp.GRPCClient) error {
	address, port, err := net.SplitHostPort(redis)
	if err != nil {
		return err
	}
	number, err := strconv.ParseInt(port, 10, 64)
	if err != nil {
		return err
	}
	for ctx.Err() == nil {
		td := ptrace.NewTraces()
		rs := td.ResourceSpans().AppendEmpty()
		rs.Resource().Attributes().PutStr("service.name", "shop")
		spans := rs.ScopeSpans().AppendEmpty().Spans()
		for range 10 {
			span := spans.AppendEmpty()
			span.SetName("GET")
			span.SetKind(ptrace.SpanKindClient)
			span.SetTraceID(pcommon.TraceID(randomBytes(16)))
			span.SetSpanID(pcommon.SpanID(randomBytes(8)))
			span.Attributes().PutStr("db.system.name", "redis")
			span.Attributes().PutStr("server.address", address)
			span.Attributes().PutInt("server.port", number)
			span.SetStartTimestamp(pcommon.NewTimestampFromTime(time.Now()))
			for range 5 {
				if _, err := conn.Do("GET", "session:1"); err != nil {
					return err
				}
				pause(ctx, 10*time.Millisecond)
			}
			span.SetEndTimestamp(pcommon.NewTimestampFromTime(time.Now()))
			pause(ctx, 50*time.Millisecond)
		}
		if _, err := otlp.Export(ctx, ptraceotlp.NewExportRequestFromTraces(td)); err != nil && ctx.Err() == nil {
			return err
		}
	}
	return nil
}

func (s shop) stop(t *testing.T) {
	t.Helper()
	s.cancel()
	if err := <-s.done; err != nil {
		t.Error(err)
	}
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(1 + rand.IntN(255))
	}
	return b
}
