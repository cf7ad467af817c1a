package chart

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

const apiServerProgram = "../../../bin/kube-apiserver"

// TestTheAPIServerTakesAll: Kubernetes' own server validates and admits every object of
// every value set, and a namespace that is restricted the gateway's pods.
func TestTheAPIServerTakesAll(t *testing.T) {
	if _, err := os.Stat(apiServerProgram); err != nil {
		t.Skip("it takes minutes to build: make test-apiserver runs this one, too")
	}
	api := startAPIServer(t)
	api.apply(t, "namespaces", `{apiVersion: v1, kind: Namespace, metadata: {name: observability, labels: {pod-security.kubernetes.io/warn: restricted}}}`, "")

	sets, err := filepath.Glob(filepath.Join(dir, "ci", "*.yaml"))
	require.NoError(t, err)
	require.Len(t, sets, 5)
	for _, set := range sets {
		values, err := os.ReadFile(set)
		require.NoError(t, err)
		r, err := Render(dir, string(values), Release{"perfscope", "observability"})
		require.NoError(t, err)
		t.Run(strings.TrimSuffix(filepath.Base(set), ".yaml"), func(t *testing.T) {
			api.takes(t, r.Manifests)
		})
	}
	t.Run("plain", func(t *testing.T) {
		all, err := os.ReadFile(plain)
		require.NoError(t, err)
		api.takes(t, strings.Split(string(all), "\n---\n"))
	})
}

// takes applies objects without keeping them.
func (a *apiServer) takes(t *testing.T, manifests []string) {
	t.Helper()
	paths := map[string]string{
		"v1 Service": "services", "v1 ConfigMap": "configmaps", "v1 ServiceAccount": "serviceaccounts", "v1 Namespace": "namespaces",
		"apps/v1 DaemonSet": "daemonsets", "apps/v1 Deployment": "deployments",
		"rbac.authorization.k8s.io/v1 ClusterRole": "clusterroles", "rbac.authorization.k8s.io/v1 ClusterRoleBinding": "clusterrolebindings",
	}
	for _, text := range manifests {
		var kind metav1.TypeMeta
		require.NoError(t, yaml.Unmarshal([]byte(text), &kind))
		if kind.Kind == "" {
			continue // comments alone
		}
		path, known := paths[kind.APIVersion+" "+kind.Kind]
		if kind.Kind == "ServiceMonitor" {
			continue // Prometheus' operator defines it, not Kubernetes
		}
		if !assert.True(t, known, "%v", kind) {
			continue
		}
		warning := a.apply(t, path, text, "&dryRun=All")
		if kind.Kind == "DaemonSet" {
			assert.Contains(t, warning, "hostPID", "the agent sees the host")
		} else {
			assert.Empty(t, warning, kind.Kind)
		}
	}
}

// apiServer is one that runs for a test.
type apiServer struct {
	url  string
	http http.Client
}

// startAPIServer starts Debian's etcd and a server on loopback, and ends both with the
// test.
func startAPIServer(t *testing.T) *apiServer {
	t.Helper()
	dir := t.TempDir()
	store, peers, port := freeAddress(t), freeAddress(t), freeAddress(t)
	run(t, dir, "etcd", "--data-dir="+filepath.Join(dir, "etcd"),
		"--listen-client-urls=http://"+store, "--advertise-client-urls=http://"+store,
		"--listen-peer-urls=http://"+peers, "--initial-advertise-peer-urls=http://"+peers, "--initial-cluster=default=http://"+peers)

	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	keyFile, tokens := filepath.Join(dir, "sa.key"), filepath.Join(dir, "tokens")
	block := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	require.NoError(t, os.WriteFile(keyFile, block, 0o600))
	require.NoError(t, os.WriteFile(tokens, []byte("test,admin,1,system:masters\n"), 0o600))
	program, err := filepath.Abs(apiServerProgram)
	require.NoError(t, err)
	_, number, err := net.SplitHostPort(port)
	require.NoError(t, err)
	run(t, dir, program, "--etcd-servers=http://"+store, "--cert-dir="+filepath.Join(dir, "certificates"),
		"--bind-address=127.0.0.1", "--secure-port="+number, "--service-cluster-ip-range=10.0.0.0/24",
		"--service-account-issuer=https://localhost", "--service-account-key-file="+keyFile, "--service-account-signing-key-file="+keyFile,
		"--token-auth-file="+tokens, "--authorization-mode=AlwaysAllow", "--allow-privileged=true") // as kubeadm has it

	a := &apiServer{url: "https://" + port, http: http.Client{
		Timeout:   10 * time.Second,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}, //nolint:gosec // its own certificate, on loopback
	}}
	t.Cleanup(a.http.CloseIdleConnections)
	require.Eventually(t, func() bool {
		_, status, _, err := a.send(t.Context(), http.MethodGet, "/readyz", "")
		return err == nil && status == http.StatusOK
	}, 2*time.Minute, 200*time.Millisecond, "the API server is not ready")
	return a
}

// apply applies an object on the server's side and returns what it warns of.
func (a *apiServer) apply(t *testing.T, resource, object, more string) (warning string) {
	t.Helper()
	var o struct {
		metav1.TypeMeta `json:",inline"`
		Metadata        metav1.ObjectMeta `json:"metadata"`
	}
	require.NoError(t, yaml.Unmarshal([]byte(object), &o))
	path := "/apis/" + o.APIVersion
	if o.APIVersion == "v1" {
		path = "/api/v1"
	}
	if o.Metadata.Namespace != "" {
		path += "/namespaces/" + o.Metadata.Namespace
	} else if resource != "namespaces" && !strings.HasPrefix(resource, "clusterrole") {
		path += "/namespaces/observability"
	}
	path += "/" + resource + "/" + o.Metadata.Name + "?fieldManager=test&fieldValidation=Strict" + more
	body, status, header, err := a.send(t.Context(), http.MethodPatch, path, object)
	require.NoError(t, err)
	assert.Less(t, status, 300, "%s: %s", path, body)
	return header.Get("Warning")
}

func (a *apiServer) send(ctx context.Context, method, path, body string) (answer string, status int, header http.Header, err error) {
	request, err := http.NewRequestWithContext(ctx, method, a.url+path, strings.NewReader(body))
	if err != nil {
		return "", 0, nil, err
	}
	request.Header.Set("Authorization", "Bearer test")
	request.Header.Set("Content-Type", "application/apply-patch+yaml")
	response, err := a.http.Do(request)
	if err != nil {
		return "", 0, nil, err
	}
	defer func() { _ = response.Body.Close() }()
	data, err := io.ReadAll(response.Body)
	return string(data), response.StatusCode, response.Header, err
}

// run starts a program that ends with the test, which shows its last lines when it
// failed.
func run(t *testing.T, dir, program string, args ...string) {
	t.Helper()
	var output bytes.Buffer
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), program, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &output, &output
	require.NoError(t, cmd.Start(), "%s: make deps-all installs it", program)
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			text := output.String()
			fmt.Printf("%s:\n%s\n", program, text[max(0, len(text)-2000):])
		}
	})
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}
