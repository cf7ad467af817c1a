package chart

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

const (
	dir    = "../../../deploy/helm/perfscope"
	plain  = "../../../deploy/kubernetes/perfscope.yaml"
	config = "../../../config"
	full   = "../../../bin/otelcol-perfscope-full"
)

// objects are the manifests of one rendering, decoded: a field that Kubernetes
// does not know is an error.
type objects struct {
	daemonSets      []appsv1.DaemonSet
	deployments     []appsv1.Deployment
	services        []corev1.Service
	configMaps      []corev1.ConfigMap
	serviceAccounts []corev1.ServiceAccount
	roles           []rbacv1.ClusterRole
	bindings        []rbacv1.ClusterRoleBinding
	monitors        []map[string]any
}

func decode(t *testing.T, manifests []string) (o objects) {
	t.Helper()
	for _, text := range manifests {
		var kind metav1.TypeMeta
		require.NoError(t, yaml.Unmarshal([]byte(text), &kind))
		switch kind.APIVersion + " " + kind.Kind {
		case "apps/v1 DaemonSet":
			o.daemonSets = append(o.daemonSets, strictly[appsv1.DaemonSet](t, text))
		case "apps/v1 Deployment":
			o.deployments = append(o.deployments, strictly[appsv1.Deployment](t, text))
		case "v1 Service":
			o.services = append(o.services, strictly[corev1.Service](t, text))
		case "v1 ConfigMap":
			o.configMaps = append(o.configMaps, strictly[corev1.ConfigMap](t, text))
		case "v1 ServiceAccount":
			o.serviceAccounts = append(o.serviceAccounts, strictly[corev1.ServiceAccount](t, text))
		case "rbac.authorization.k8s.io/v1 ClusterRole":
			o.roles = append(o.roles, strictly[rbacv1.ClusterRole](t, text))
		case "rbac.authorization.k8s.io/v1 ClusterRoleBinding":
			o.bindings = append(o.bindings, strictly[rbacv1.ClusterRoleBinding](t, text))
		case "monitoring.coreos.com/v1 ServiceMonitor":
			o.monitors = append(o.monitors, strictly[map[string]any](t, text))
		default:
			t.Errorf("an object of unknown kind %v:\n%s", kind, text)
		}
	}
	return o
}

func strictly[T any](t *testing.T, text string) (v T) {
	t.Helper()
	require.NoError(t, yaml.UnmarshalStrict([]byte(text), &v), text)
	return v
}

func TestRendered(t *testing.T) {
	sets, err := filepath.Glob(filepath.Join(dir, "ci", "*.yaml"))
	require.NoError(t, err)
	require.Len(t, sets, 5)
	for _, set := range sets {
		t.Run(strings.TrimSuffix(filepath.Base(set), ".yaml"), func(t *testing.T) {
			values, err := os.ReadFile(set)
			require.NoError(t, err)
			r, err := Render(dir, string(values), Release{"perfscope", "observability"})
			require.NoError(t, err)
			o := decode(t, r.Manifests)
			require.Len(t, o.daemonSets, 1)
			agent := o.daemonSets[0]
			o.checkPod(t, agent.Spec.Selector, agent.Spec.Template)
			for _, d := range o.deployments {
				o.checkPod(t, d.Spec.Selector, d.Spec.Template)
				o.checkRestricted(t, d.Spec.Template.Spec)
			}
			for _, s := range o.services {
				o.checkService(t, s)
			}
			for _, b := range o.bindings {
				require.Len(t, o.roles, 1)
				assert.Equal(t, o.roles[0].Name, b.RoleRef.Name)
				assert.Equal(t, agent.Spec.Template.Spec.ServiceAccountName, b.Subjects[0].Name)
				assert.Equal(t, "observability", b.Subjects[0].Namespace)
				for _, rule := range o.roles[0].Rules {
					assert.Subset(t, []string{"get", "list", "watch"}, rule.Verbs, "it changes nothing")
					assert.NotContains(t, rule.Resources, "secrets")
				}
			}
			o.checkConfigs(t, agent)
			assert.Contains(t, r.Notes, "A service is")
		})
	}
}

// checkPod compares what a pod refers to with what there is.
func (o objects) checkPod(t *testing.T, selector *metav1.LabelSelector, pod corev1.PodTemplateSpec) {
	t.Helper()
	for key, value := range selector.MatchLabels {
		assert.Equal(t, value, pod.Labels[key], "the selector must match the pods")
	}
	volumes := map[string]bool{}
	for _, v := range pod.Spec.Volumes {
		volumes[v.Name] = true
		if v.ConfigMap != nil {
			assert.NotNil(t, o.configMap(v.ConfigMap.Name), "no ConfigMap %s", v.ConfigMap.Name)
		}
	}
	for _, c := range pod.Spec.Containers {
		for _, m := range c.VolumeMounts {
			assert.True(t, volumes[m.Name], "no volume %s", m.Name)
		}
		ports := map[string]bool{}
		for _, p := range c.Ports {
			ports[p.Name] = true
		}
		for _, probe := range []*corev1.Probe{c.ReadinessProbe, c.LivenessProbe} {
			assert.True(t, ports[probe.HTTPGet.Port.StrVal], "no port %s", probe.HTTPGet.Port.StrVal)
		}
		for _, arg := range c.Args {
			if file, ours := strings.CutPrefix(arg, "/etc/perfscope/chart/"); ours {
				assert.NotEmpty(t, o.file(file), "no file %s in any ConfigMap", file)
			} else if file, ours := strings.CutPrefix(arg, "/etc/perfscope/"); ours {
				assert.FileExists(t, filepath.Join(config, file), "the image has config/")
			}
		}
	}
	if name := pod.Spec.ServiceAccountName; name != "" && name != "default" {
		require.Len(t, o.serviceAccounts, 1)
		assert.Equal(t, name, o.serviceAccounts[0].Name)
	}
}

func (o objects) checkService(t *testing.T, s corev1.Service) {
	t.Helper()
	for _, d := range o.deployments {
		if s.Spec.Selector["app.kubernetes.io/component"] == "gateway" {
			for key, value := range s.Spec.Selector {
				assert.Equal(t, value, d.Spec.Template.Labels[key])
			}
		}
	}
}

// checkRestricted is Kubernetes' restricted pod security standard.
func (o objects) checkRestricted(t *testing.T, pod corev1.PodSpec) {
	t.Helper()
	assert.True(t, *pod.SecurityContext.RunAsNonRoot)
	assert.False(t, pod.HostPID || pod.HostNetwork)
	for _, v := range pod.Volumes {
		assert.Nil(t, v.HostPath)
	}
	for _, c := range pod.Containers {
		assert.False(t, *c.SecurityContext.AllowPrivilegeEscalation)
		assert.Equal(t, []corev1.Capability{"ALL"}, c.SecurityContext.Capabilities.Drop)
		assert.Empty(t, c.SecurityContext.Capabilities.Add)
	}
}

func (o objects) configMap(name string) *corev1.ConfigMap {
	for i := range o.configMaps {
		if o.configMaps[i].Name == name {
			return &o.configMaps[i]
		}
	}
	return nil
}

func (o objects) file(name string) string {
	for _, c := range o.configMaps {
		if text := c.Data[name]; text != "" {
			return text
		}
	}
	return ""
}

// checkConfigs has the real collector validate the configurations.
func (o objects) checkConfigs(t *testing.T, agent appsv1.DaemonSet) {
	t.Helper()
	if _, err := os.Stat(full); err != nil {
		if os.Getenv("PERFSCOPE_INSTALL") == "all" {
			t.Fatal("run `make build-full` first")
		}
		t.Log("not compared with the collector: run `make build-full` first")
		return
	}
	tmp := t.TempDir()
	write := func(name string) string {
		file := filepath.Join(tmp, name)
		require.NoError(t, os.WriteFile(file, []byte(o.file(name)), 0o600))
		return file
	}
	runs := [][]string{{"--config", write("agent.yaml")}}
	if len(o.deployments) > 0 {
		runs = append(runs, []string{"--config", filepath.Join(config, "gateway.yaml"), "--config", write("gateway-chart.yaml")})
	}
	for _, args := range runs {
		cmd := exec.CommandContext(t.Context(), full, append([]string{"validate"}, args...)...)
		cmd.Env = append(os.Environ(), "OTEL_EXPORTER_OTLP_ENDPOINT=http://backend:4317", "K8S_NODE_NAME=node", "KUBERNETES_SERVICE_HOST=10.0.0.1", "KUBERNETES_SERVICE_PORT=443")
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%v: %s", args, out)
	}
	_ = agent
}

func TestVariants(t *testing.T) {
	agent := func(values string) corev1.Container {
		r, err := Render(dir, values, Release{"perfscope", "observability"})
		require.NoError(t, err)
		return decode(t, r.Manifests).daemonSets[0].Spec.Template.Spec.Containers[0]
	}
	restricted := agent("{}").SecurityContext
	assert.False(t, *restricted.Privileged)
	assert.Equal(t, []corev1.Capability{"ALL"}, restricted.Capabilities.Drop)
	assert.Equal(t, []corev1.Capability{"BPF", "PERFMON", "SYS_PTRACE", "DAC_READ_SEARCH"}, restricted.Capabilities.Add)
	assert.Equal(t, corev1.AppArmorProfileTypeUnconfined, restricted.AppArmorProfile.Type)
	privileged := agent("agent: {mode: privileged}").SecurityContext
	assert.True(t, *privileged.Privileged)
	assert.Nil(t, privileged.Capabilities)
}

func TestTheSchemaRefusesMistakes(t *testing.T) {
	for values, want := range map[string]string{
		"agent: {mode: rootless}":       "mode",
		"agents: {}":                    "agents",
		"agent: {targets: []}":          "targets",
		"gateway: {replicas: 0}":        "replicas",
		"serviceMonitor: {interval: 3}": "interval",
	} {
		_, err := Render(dir, values, Release{"perfscope", "default"})
		require.ErrorContains(t, err, want, values)
	}
}

// TestThePlainManifestsAreInStep: they are made of the chart.
func TestThePlainManifestsAreInStep(t *testing.T) {
	want, err := Plain(dir)
	require.NoError(t, err)
	have, err := os.ReadFile(plain)
	require.NoError(t, err, "run `make manifests`")
	assert.Equal(t, want, string(have), "run `make manifests`")
	assert.NotContains(t, want, "Helm\n")
}
