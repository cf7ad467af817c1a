package pod

import (
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"

	"github.com/perfscope/perfscope/internal/packaging/chart"
	"github.com/perfscope/perfscope/internal/packaging/image"
)

const values = "{gateway: {enabled: false}, k8sattributes: false, backend: {endpoint: 'http://backend:4317'}}"

func bundle(t *testing.T, values string, files ...string) (specs.Spec, string, error) {
	t.Helper()
	rendered, err := chart.Render("../../../deploy/helm/perfscope", values, chart.Release{Name: "perfscope", Namespace: "perfscope"})
	require.NoError(t, err)
	dir, node := t.TempDir(), t.TempDir()
	for _, name := range files {
		require.NoError(t, os.MkdirAll(filepath.Join(node, filepath.Dir(name)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(node, name), []byte(name), 0o600))
	}
	binary := filepath.Join(t.TempDir(), "otelcol")
	require.NoError(t, os.WriteFile(binary, []byte("a program"), 0o600))
	img := image.Spec{Name: "otelcol", Binaries: map[string]string{runtime.GOARCH: binary}, Certificates: binary}
	err = Bundle(dir, rendered.Manifests, img, Node{Name: "worker-1", IP: "192.0.2.1", Files: node},
		Placement{UID: "uid", ContainerID: "container", Network: "/run/netns/agent"})
	var spec specs.Spec
	if err == nil {
		data, err := os.ReadFile(filepath.Join(dir, "config.json"))
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(data, &spec))
	}
	return spec, dir, err
}

func TestThePodIsMadeAsTheChartSays(t *testing.T) {
	spec, dir, err := bundle(t, values, "etc/machine-id", "var/log/containers/link")
	require.NoError(t, err)
	assert.Equal(t, []string{"/otelcol", "--config", "/etc/perfscope/chart/agent.yaml"}, spec.Process.Args)
	assert.Equal(t, specs.User{}, spec.Process.User, "root")
	assert.Equal(t, []string{"CAP_BPF", "CAP_PERFMON", "CAP_SYS_PTRACE", "CAP_DAC_READ_SEARCH"}, spec.Process.Capabilities.Bounding)
	assert.Equal(t, spec.Process.Capabilities.Bounding, spec.Process.Capabilities.Effective)
	assert.True(t, spec.Process.NoNewPrivileges)
	assert.Subset(t, spec.Process.Env, []string{"K8S_NODE_NAME=worker-1", "OTEL_EXPORTER_OTLP_ENDPOINT=http://backend:4317"})
	assert.True(t, spec.Root.Readonly)
	assert.NotEmpty(t, spec.Linux.Seccomp.Syscalls)
	assert.Equal(t, "/kubepods/burstable/poduid/container", spec.Linux.CgroupsPath)
	assert.Equal(t, int64(1<<30), *spec.Linux.Resources.Memory.Limit)
	var own []specs.LinuxNamespaceType
	for _, n := range spec.Linux.Namespaces {
		own = append(own, n.Type)
	}
	assert.NotContains(t, own, specs.PIDNamespace, "hostPID")
	assert.Contains(t, spec.Linux.Namespaces, specs.LinuxNamespace{Type: specs.NetworkNamespace, Path: "/run/netns/agent"})
	mounts := map[string]specs.Mount{}
	for _, m := range spec.Mounts {
		assert.NotContains(t, mounts, m.Destination, "twice")
		mounts[m.Destination] = m
	}
	assert.Equal(t, "/sys", mounts["/sys"].Source, "the node's in place of the container's own")
	for _, path := range []string{"/sys", "/etc/machine-id", "/var/log/containers", "/etc/perfscope/chart"} {
		assert.Contains(t, mounts[path].Options, "ro", path)
	}
	assert.Contains(t, mounts["/tmp"].Options, "rw")
	config, err := os.ReadFile(filepath.Join(mounts["/etc/perfscope/chart"].Source, "agent.yaml"))
	require.NoError(t, err)
	assert.Contains(t, string(config), "receivers:")
	program, err := os.Stat(filepath.Join(dir, "rootfs", "otelcol"))
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o755), program.Mode())
}

// TestWhatIsNotKnownIsRefused: a bundle that leaves something out would show nothing.
func TestWhatIsNotKnownIsRefused(t *testing.T) {
	for name, tc := range map[string]struct{ values, want string }{
		"privileged": {"{agent: {mode: privileged}, k8sattributes: false}", "privileged"},
		"a secret":   {"{backend: {endpoint: 'http://b:4317', headersSecret: key}}", "OTEL_EXPORTER_OTLP_HEADERS"},
		"reference":  {"{agent: {extraEnv: [{name: A, value: $(NODE_IP)}]}}", "variable A"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := bundle(t, tc.values, "etc/machine-id", "var/log/containers/link")
			require.ErrorContains(t, err, tc.want)
		})
	}
	directory := corev1.HostPathDirectory
	_, err := builder{}.hostPath(corev1.HostPathVolumeSource{Path: "/etc/passwd", Type: &directory})
	require.ErrorContains(t, err, "not a Directory")
}

func TestCapabilities(t *testing.T) {
	assert.Equal(t, usual, capabilities(nil))
	got := capabilities(&corev1.Capabilities{Drop: []corev1.Capability{"MKNOD"}, Add: []corev1.Capability{"BPF", "KILL"}})
	assert.NotContains(t, got, "CAP_MKNOD")
	assert.Contains(t, got, "CAP_BPF")
	assert.Len(t, got, len(usual), "KILL was there")
	assert.Empty(t, capabilities(&corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}))
}
