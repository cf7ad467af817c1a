// Package pod makes of a rendered DaemonSet what a node makes of one of its pods:
// a bundle that a container runtime (runc) starts, with the user, the capabilities,
// the mounts, the environment and the namespaces that the pod asks for.
//
// It is a small part of a kubelet and of containerd, for pods with one container,
// and refuses what it does not know rather than leave it out.
package pod

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/perfscope/perfscope/internal/packaging/image"
)

// Node is the machine that the pod runs on.
type Node struct {
	// Name and IP are the node's.
	Name, IP string
	// Files is a folder that stands in for the node's files where it has them:
	// /var/log/containers is Files/var/log/containers.
	Files string
}

// Placement is what the control plane and the network have decided of the pod.
type Placement struct {
	// UID is the pod's, ContainerID its container's: 64 hexadecimal digits.
	UID, ContainerID string
	// Network is the file of the pod's network namespace.
	Network string
}

// Bundle writes the pod of a chart's DaemonSet into a folder: config.json, rootfs
// and the pod's volumes. The manifests are those of one rendering.
func Bundle(dir string, manifests []string, img image.Spec, node Node, at Placement) error {
	agent, configs, err := find(manifests)
	if err != nil {
		return err
	}
	// The runtime's working directory is another.
	if dir, err = filepath.Abs(dir); err != nil {
		return err
	}
	if node.Files != "" {
		if node.Files, err = filepath.Abs(node.Files); err != nil {
			return err
		}
	}
	spec := agent.Spec.Template.Spec
	if len(spec.Containers) != 1 || len(spec.InitContainers) > 0 {
		return errors.New("a pod with one container is wanted")
	}
	b := builder{dir: dir, pod: spec, container: spec.Containers[0], configs: configs, image: img, node: node, at: at}
	out, err := b.runtimeSpec()
	if err != nil {
		return fmt.Errorf("pod of %s: %w", agent.Name, err)
	}
	if err := img.WriteFiles(runtime.GOARCH, filepath.Join(dir, "rootfs")); err != nil {
		return err
	}
	data, err := json.MarshalIndent(out, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "config.json"), data, 0o600)
}

// find returns the one DaemonSet and the ConfigMaps by name.
func find(manifests []string) (*appsv1.DaemonSet, map[string]corev1.ConfigMap, error) {
	var agent *appsv1.DaemonSet
	configs := map[string]corev1.ConfigMap{}
	for _, text := range manifests {
		var object struct{ Kind string }
		if err := yaml.Unmarshal([]byte(text), &object); err != nil {
			return nil, nil, err
		}
		var err error
		switch object.Kind {
		case "DaemonSet":
			if agent != nil {
				return nil, nil, errors.New("two DaemonSets")
			}
			agent = &appsv1.DaemonSet{}
			err = yaml.UnmarshalStrict([]byte(text), agent)
		case "ConfigMap":
			var c corev1.ConfigMap
			err = yaml.UnmarshalStrict([]byte(text), &c)
			configs[c.Name] = c
		}
		if err != nil {
			return nil, nil, err
		}
	}
	if agent == nil {
		return nil, nil, errors.New("no DaemonSet")
	}
	return agent, configs, nil
}

type builder struct {
	dir       string
	pod       corev1.PodSpec
	container corev1.Container
	configs   map[string]corev1.ConfigMap
	image     image.Spec
	node      Node
	at        Placement
}

func (b builder) runtimeSpec() (*specs.Spec, error) {
	mounts, err := b.mounts()
	if err != nil {
		return nil, err
	}
	env, err := b.environment()
	if err != nil {
		return nil, err
	}
	process, err := b.process(env)
	if err != nil {
		return nil, err
	}
	security := b.container.SecurityContext
	out := &specs.Spec{
		Version: specs.Version, Process: process, Hostname: b.node.Name + "-agent",
		Root:   &specs.Root{Path: "rootfs", Readonly: is(security.ReadOnlyRootFilesystem)},
		Mounts: mounts,
		Linux: &specs.Linux{
			CgroupsPath: b.cgroup(), Namespaces: b.namespaces(), Resources: b.resources(),
		},
	}
	if !is(security.Privileged) {
		// https://github.com/containerd/containerd/blob/main/pkg/oci/spec.go: procMount Default.
		out.Linux.MaskedPaths = []string{
			"/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
			"/proc/timer_stats", "/proc/sched_debug", "/sys/firmware", "/sys/devices/virtual/powercap", "/proc/scsi",
		}
		out.Linux.ReadonlyPaths = []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}
		if out.Linux.Seccomp, err = b.seccomp(out); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// cgroup is where the kubelet's cgroupfs driver puts it.
func (b builder) cgroup() string {
	class := "burstable"
	if len(b.container.Resources.Requests)+len(b.container.Resources.Limits) == 0 {
		class = "besteffort"
	}
	return filepath.Join("/kubepods", class, "pod"+b.at.UID, b.at.ContainerID)
}

func (b builder) namespaces() []specs.LinuxNamespace {
	list := []specs.LinuxNamespace{{Type: specs.MountNamespace}, {Type: specs.UTSNamespace}, {Type: specs.CgroupNamespace}}
	if !b.pod.HostPID {
		list = append(list, specs.LinuxNamespace{Type: specs.PIDNamespace})
	}
	if !b.pod.HostIPC {
		list = append(list, specs.LinuxNamespace{Type: specs.IPCNamespace})
	}
	if !b.pod.HostNetwork {
		list = append(list, specs.LinuxNamespace{Type: specs.NetworkNamespace, Path: b.at.Network})
	}
	return list
}

func (b builder) resources() *specs.LinuxResources {
	out := &specs.LinuxResources{}
	if limit, set := b.container.Resources.Limits[corev1.ResourceMemory]; set {
		bytes := limit.Value()
		out.Memory = &specs.LinuxMemory{Limit: &bytes}
	}
	return out
}

func is(b *bool) bool { return b != nil && *b }
