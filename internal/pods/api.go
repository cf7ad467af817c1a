package pods

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/perfscope/perfscope/internal/process"
)

// maxAnswer bounds one answer of the API server, in bytes: some hundred pods are a
// few megabytes.
const maxAnswer = 64 << 20

// API asks the API server for the pods of a node, as the pod's service account.
// That must be allowed to list pods.
type API struct {
	// Server is its URL, Node the node's name, Account the folder with the
	// account's token and ca.crt.
	Server, Node, Account string

	client *http.Client
}

// InCluster is the API as a pod reaches it.
func InCluster(node string) (*API, error) {
	host, port := os.Getenv("KUBERNETES_SERVICE_HOST"), os.Getenv("KUBERNETES_SERVICE_PORT")
	switch {
	case host == "" || port == "":
		return nil, errors.New("kubernetes::source is api, and this is no pod: KUBERNETES_SERVICE_HOST is not set")
	case node == "":
		return nil, errors.New("kubernetes::source is api, and kubernetes::node is empty: set it to the node's name (fieldRef spec.nodeName)")
	}
	return &API{
		Server: "https://" + net.JoinHostPort(host, port), Node: node,
		Account: "/var/run/secrets/kubernetes.io/serviceaccount",
	}, nil
}

// podList is what is read of a PodList.
type podList struct {
	Items []struct {
		Metadata struct {
			Name, Namespace, UID string
			Labels               map[string]string
			OwnerReferences      []struct{ Kind, Name string }
		}
		Status struct {
			ContainerStatuses, InitContainerStatuses, EphemeralContainerStatuses []status
		}
	}
}

type status struct{ Name, ContainerID string }

// List asks once.
func (a *API) List(ctx context.Context) (*Table, error) {
	if err := a.connect(); err != nil {
		return nil, err
	}
	// The token is renewed on disk.
	token, err := os.ReadFile(filepath.Join(a.Account, "token"))
	if err != nil {
		return nil, fmt.Errorf("the pods cannot be asked for: %w; has the pod automountServiceAccountToken: true?", err)
	}
	query := url.Values{"fieldSelector": {"spec.nodeName=" + a.Node}, "resourceVersion": {"0"}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, a.Server+"/api/v1/pods?"+query.Encode(), nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	request.Header.Set("Accept", "application/json")
	answer, err := a.client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("the API server does not answer: %w", err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the API server answers %s: the service account must be allowed to list pods", answer.Status)
	}
	var list podList
	if err := json.NewDecoder(io.LimitReader(answer.Body, maxAnswer)).Decode(&list); err != nil {
		return nil, fmt.Errorf("the API server's list of pods cannot be read: %w", err)
	}
	return list.table(), nil
}

func (a *API) connect() error {
	if a.client != nil {
		return nil
	}
	roots := x509.NewCertPool()
	pem, err := os.ReadFile(filepath.Join(a.Account, "ca.crt"))
	if err != nil {
		return fmt.Errorf("the API server cannot be trusted: %w", err)
	}
	if !roots.AppendCertsFromPEM(pem) {
		return fmt.Errorf("the API server cannot be trusted: no certificate in %s/ca.crt", a.Account)
	}
	a.client = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}}
	return nil
}

func (l *podList) table() *Table {
	t := newTable()
	for i := range l.Items {
		meta, state := &l.Items[i].Metadata, &l.Items[i].Status
		p := process.Pod{Namespace: meta.Namespace, Name: meta.Name, Labels: meta.Labels}
		for _, owner := range meta.OwnerReferences {
			if owner.Kind == "ReplicaSet" {
				// Its name is the deployment's and the hash that pods have as a label.
				p.Deployment = strings.TrimSuffix(owner.Name, "-"+meta.Labels["pod-template-hash"])
			}
		}
		t.add(meta.UID, "", p)
		for _, list := range [][]status{state.ContainerStatuses, state.InitContainerStatuses, state.EphemeralContainerStatuses} {
			for _, c := range list {
				// containerd://ID
				if _, id, found := strings.Cut(c.ContainerID, "://"); found {
					p.Container = c.Name
					t.add("", id, p)
				}
			}
		}
	}
	return t
}
