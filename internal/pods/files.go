package pods

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"

	"github.com/perfscope/perfscope/internal/process"
)

// Files are the names below /var/log of a node: the kubelet makes a folder for each
// pod and a link for each container. No file is opened.
//
// https://kubernetes.io/docs/concepts/cluster-administration/logging/
type Files struct {
	// Dir is /var/log of the node.
	Dir string
}

var (
	containerLog = regexp.MustCompile(`^([a-z0-9.-]+)_([a-z0-9-]+)_([a-z0-9-]+)-([0-9a-f]{64})\.log$`)
	podFolder    = regexp.MustCompile(`^([a-z0-9-]+)_([a-z0-9.-]+)_([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})$`)
)

// List reads the two folders.
func (f Files) List(context.Context) (*Table, error) {
	t := newTable()
	containers, err := names(filepath.Join(f.Dir, "containers"))
	if err != nil {
		return nil, fmt.Errorf("the names of pods cannot be read: %w; mount /var/log of the node, or set kubernetes::source to api", err)
	}
	for _, name := range containers {
		if m := containerLog.FindStringSubmatch(name); m != nil {
			t.add("", m[4], process.Pod{Namespace: m[2], Name: m[1], Container: m[3], Deployment: deploymentOf(m[1])})
		}
	}
	folders, err := names(filepath.Join(f.Dir, "pods"))
	if err != nil {
		return t, nil //nolint:nilerr // the containers tell nearly all of it
	}
	for _, name := range folders {
		if m := podFolder.FindStringSubmatch(name); m != nil {
			t.add(m[3], "", process.Pod{Namespace: m[1], Name: m[2], Deployment: deploymentOf(m[2])})
		}
	}
	return t, nil
}

func names(dir string) ([]string, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	list, err := d.Readdirnames(maxContainers)
	if len(list) > 0 {
		return list, nil
	}
	if errors.Is(err, io.EOF) {
		return nil, nil
	}
	return nil, err
}
