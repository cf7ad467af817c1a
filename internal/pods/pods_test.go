package pods

import (
	"context"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perfscope/perfscope/internal/process"
)

var id = strings.Repeat("4f1c2b7ad3e9", 6)[:64]

const uid = "0e8ab85d-4ac8-4cb1-90b8-5cb1ec8e7a0f"

func ask(t *testing.T, s Source) *Keeper {
	t.Helper()
	k := NewKeeper(s, time.Minute, func(err error) { require.NoError(t, err) })
	k.list(t.Context())
	return k
}

func TestFiles(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{
		"containers/orders-7d9f5c6b54-x2k8p_shop_app-" + id + ".log", "containers/garbage.log",
		"pods/shop_orders-7d9f5c6b54-x2k8p_" + uid, "pods/shop_db-0_1" + uid[1:], "pods/not a pod",
	} {
		require.NoError(t, os.MkdirAll(filepath.Join(dir, name), 0o750))
	}
	k := ask(t, Files{dir})
	p, known := k.Pod("", id)
	assert.True(t, known)
	assert.Equal(t, process.Pod{Namespace: "shop", Name: "orders-7d9f5c6b54-x2k8p", Container: "app", Deployment: "orders"}, p)
	p, _ = k.Pod(uid, "another container of it")
	assert.Equal(t, process.Pod{Namespace: "shop", Name: "orders-7d9f5c6b54-x2k8p", Deployment: "orders"}, p)
	p, _ = k.Pod("1"+uid[1:], "")
	assert.Equal(t, process.Pod{Namespace: "shop", Name: "db-0"}, p, "a stateful set's pod is of no deployment")
	_, known = k.Pod("unknown", "unknown")
	assert.False(t, known)
	_, err := Files{filepath.Join(dir, "nowhere")}.List(t.Context())
	require.ErrorContains(t, err, "mount /var/log")
}

func TestAPI(t *testing.T) {
	answer, code := `{"items":[{"metadata":{"name":"orders-7d9f5c6b54-x2k8p","namespace":"shop","uid":"`+uid+`",
		"labels":{"app":"orders","pod-template-hash":"7d9f5c6b54"},"ownerReferences":[{"kind":"ReplicaSet","name":"orders-7d9f5c6b54"}]},
		"status":{"containerStatuses":[{"name":"app","containerID":"containerd://`+id+`"},{"name":"waiting"}]}}]}`, http.StatusOK
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer secret" || r.FormValue("fieldSelector") != "spec.nodeName=node-1" || r.URL.Path != "/api/v1/pods" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		w.WriteHeader(code)
		_, _ = w.Write([]byte(answer))
	}))
	defer server.Close()
	account := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(account, "token"), []byte("secret\n"), 0o600))
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	require.NoError(t, os.WriteFile(filepath.Join(account, "ca.crt"), ca, 0o600))
	api := &API{Server: server.URL, Node: "node-1", Account: account}
	k := ask(t, api)
	p, _ := k.Pod("", id)
	want := process.Pod{
		Namespace: "shop", Name: "orders-7d9f5c6b54-x2k8p", Container: "app", Deployment: "orders",
		Labels: map[string]string{"app": "orders", "pod-template-hash": "7d9f5c6b54"},
	}
	assert.Equal(t, want, p)

	code = http.StatusForbidden
	_, err := api.List(t.Context())
	require.ErrorContains(t, err, "allowed to list pods")
	assert.NotContains(t, err.Error(), "secret")
	code, answer = http.StatusOK, "{"
	_, err = api.List(t.Context())
	require.ErrorContains(t, err, "cannot be read")
	// What was known stays.
	var last error
	k.failed = func(err error) { last = err }
	k.list(t.Context())
	require.Error(t, last)
	_, known := k.Pod("", id)
	assert.True(t, known)
}

func TestInCluster(t *testing.T) {
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	_, err := InCluster("node-1")
	require.ErrorContains(t, err, "this is no pod")
	t.Setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
	t.Setenv("KUBERNETES_SERVICE_PORT", "443")
	_, err = InCluster("")
	require.ErrorContains(t, err, "spec.nodeName")
	api, err := InCluster("node-1")
	require.NoError(t, err)
	assert.Equal(t, "https://10.0.0.1:443", api.Server)
}

func TestKeeperEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	asked := 0
	k := NewKeeper(sourceFunc(func() (*Table, error) { asked++; cancel(); return nil, errors.New("no") }), time.Hour, func(error) {})
	k.Run(ctx)
	assert.Equal(t, 1, asked)
}

type sourceFunc func() (*Table, error)

func (f sourceFunc) List(context.Context) (*Table, error) { return f() }
