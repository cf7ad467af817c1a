package process

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// Pod is what Kubernetes calls where a process runs; empty fields are not known.
type Pod struct {
	Namespace, Name, Container string
	// Deployment is the one the pod belongs to, through its replica set.
	Deployment string
	Labels     map[string]string
}

// Pods tells the pod of a container, or of a pod's uid where the container is not
// known. It is asked for each process of a pod: it must be quick.
type Pods func(podUID, containerID string) (Pod, bool)

// PodRule selects processes by their pod. Every field that is set must hold.
type PodRule struct {
	// Namespace, Pod, Container and Deployment are globs over names.
	Namespace, Pod, Container, Deployment string
	// Labels are globs over the values of labels.
	Labels map[string]string
}

func (r *PodRule) empty() bool {
	return r == nil || r.Namespace == "" && r.Pod == "" && r.Container == "" && r.Deployment == "" && len(r.Labels) == 0
}

// podMatcher is a compiled PodRule.
type podMatcher struct {
	namespace, pod, container, deployment *regexp.Regexp
	labels                                map[string]*regexp.Regexp
}

func (r *PodRule) compile() (*podMatcher, error) {
	if r.empty() {
		return nil, nil //nolint:nilnil // a rule that does not ask for a pod
	}
	var errs []error
	glob := func(key, pattern string) *regexp.Regexp {
		if pattern == "" {
			return nil
		}
		re, err := compileGlob(pattern, true)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %q is not a glob (*, ? and [a-z] are allowed): %w", key, pattern, err))
		}
		return re
	}
	m := &podMatcher{
		namespace: glob("k8s_namespace", r.Namespace), pod: glob("k8s_pod", r.Pod),
		container: glob("k8s_container", r.Container), deployment: glob("k8s_deployment", r.Deployment),
		labels: map[string]*regexp.Regexp{},
	}
	for name, value := range r.Labels {
		if value == "" {
			value = "*"
		}
		m.labels[name] = glob("k8s_labels::"+name, value)
	}
	return m, errors.Join(errs...)
}

func (m *podMatcher) matches(p Pod) bool {
	for _, f := range []struct {
		want *regexp.Regexp
		has  string
	}{{m.namespace, p.Namespace}, {m.pod, p.Name}, {m.container, p.Container}, {m.deployment, p.Deployment}} {
		if f.want != nil && (f.has == "" || !f.want.MatchString(f.has)) {
			return false
		}
	}
	for name, want := range m.labels {
		if has, set := p.Labels[name]; !set || !want.MatchString(has) {
			return false
		}
	}
	return true
}

// fields are those that are set, as configuration names them, with their values.
func (r *PodRule) fields() (names []string, values map[string]any) {
	values = map[string]any{}
	if r == nil {
		return nil, values
	}
	for _, f := range []struct{ name, value string }{
		{"k8s_namespace", r.Namespace}, {"k8s_pod", r.Pod}, {"k8s_container", r.Container}, {"k8s_deployment", r.Deployment},
	} {
		if f.value != "" {
			names = append(names, f.name)
			values[f.name] = f.value
		}
	}
	if len(r.Labels) > 0 {
		var pairs []string
		for _, name := range slices.Sorted(maps.Keys(r.Labels)) {
			pairs = append(pairs, name+": "+r.Labels[name])
		}
		names = append(names, "k8s_labels")
		values["k8s_labels"] = "{" + strings.Join(pairs, ", ") + "}"
	}
	return names, values
}

// only is the matcher of one field.
func (m *podMatcher) only(field string) *podMatcher {
	switch field {
	case "k8s_namespace":
		return &podMatcher{namespace: m.namespace}
	case "k8s_pod":
		return &podMatcher{pod: m.pod}
	case "k8s_container":
		return &podMatcher{container: m.container}
	case "k8s_deployment":
		return &podMatcher{deployment: m.deployment}
	}
	return &podMatcher{labels: m.labels}
}

// pod is that of the process, the zero Pod outside of one.
func (f *facts) pod() Pod {
	if f.inPod == nil {
		var p Pod
		if cg := f.cgroup(); f.pods != nil && (cg.PodUID != "" || cg.ContainerID != "") {
			p, _ = f.pods(cg.PodUID, cg.ContainerID)
		}
		f.inPod = &p
	}
	return *f.inPod
}
