// Package chart renders PerfScope's Helm chart as helm does, without a cluster.
package chart

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/releaseutil"
)

// Release is what a chart is rendered as.
type Release struct{ Name, Namespace string }

// Rendered is a chart with its values filled in.
type Rendered struct {
	// Manifests are the objects in the order in which helm applies them.
	Manifests []string
	// Notes are shown to the user.
	Notes string
}

// Render fills values, a YAML document, into the chart of a folder. Values that
// the chart's schema forbids are an error.
func Render(dir, values string, r Release) (Rendered, error) {
	c, err := loader.LoadDir(dir)
	if err != nil {
		return Rendered{}, err
	}
	given, err := chartutil.ReadValues([]byte(values))
	if err != nil {
		return Rendered{}, fmt.Errorf("the values are no YAML: %w", err)
	}
	all, err := chartutil.ToRenderValues(c, given, chartutil.ReleaseOptions{Name: r.Name, Namespace: r.Namespace, Revision: 1, IsInstall: true}, nil)
	if err != nil {
		return Rendered{}, err
	}
	files, err := engine.Render(c, all)
	if err != nil {
		return Rendered{}, err
	}
	var out Rendered
	for name, text := range files {
		if strings.HasSuffix(name, "NOTES.txt") {
			out.Notes = text
			delete(files, name)
		}
	}
	_, sorted, err := releaseutil.SortManifests(files, nil, releaseutil.InstallOrder)
	if err != nil {
		return Rendered{}, err
	}
	// Those of one kind come in no fixed order from a map.
	slices.SortStableFunc(sorted, func(a, b releaseutil.Manifest) int {
		if a.Head.Kind != b.Head.Kind {
			return 0
		}
		return strings.Compare(a.Name+a.Content, b.Name+b.Content)
	})
	for _, m := range sorted {
		out.Manifests = append(out.Manifests, strings.TrimSpace(m.Content))
	}
	return out, nil
}

const head = `# PerfScope for Kubernetes without Helm, made of deploy/helm/perfscope by
# ` + "`make manifests`" + `: change it there.
#
#   kubectl create namespace perfscope
#   kubectl label namespace perfscope pod-security.kubernetes.io/enforce=privileged
#   kubectl -n perfscope apply -f perfscope.yaml
`

// Plain is the chart with its defaults as one document.
func Plain(dir string) (string, error) {
	r, err := Render(dir, "{}", Release{"perfscope", "perfscope"})
	if err != nil {
		return "", err
	}
	text := head + "---\n" + strings.Join(r.Manifests, "\n---\n") + "\n"
	return strings.ReplaceAll(text, "app.kubernetes.io/managed-by: Helm", "app.kubernetes.io/managed-by: kubectl"), nil
}

// WritePlain writes it.
func WritePlain(dir, file string) error {
	text, err := Plain(dir)
	if err != nil {
		return err
	}
	return os.WriteFile(file, []byte(text), 0o600)
}
