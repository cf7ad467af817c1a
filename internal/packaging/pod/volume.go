package pod

import (
	"fmt"
	"os"
	"path/filepath"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	corev1 "k8s.io/api/core/v1"
)

// mounts are those of every container, then the pod's.
func (b builder) mounts() ([]specs.Mount, error) {
	// https://github.com/containerd/containerd/blob/main/pkg/oci/mounts.go
	list := []specs.Mount{
		{Destination: "/proc", Type: "proc", Source: "proc", Options: []string{"nosuid", "noexec", "nodev"}},
		{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "strictatime", "mode=755", "size=65536k"}},
		{Destination: "/dev/pts", Type: "devpts", Source: "devpts", Options: []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"}},
		{Destination: "/dev/shm", Type: "tmpfs", Source: "shm", Options: []string{"nosuid", "noexec", "nodev", "mode=1777", "size=65536k"}},
		{Destination: "/sys", Type: "sysfs", Source: "sysfs", Options: []string{"nosuid", "noexec", "nodev", "ro"}},
	}
	volumes := map[string]corev1.Volume{}
	for _, v := range b.pod.Volumes {
		volumes[v.Name] = v
	}
	for _, m := range b.container.VolumeMounts {
		v, known := volumes[m.Name]
		if !known || m.SubPath != "" || m.MountPropagation != nil {
			return nil, fmt.Errorf("mount of %s at %s: no such volume, or one of a part or with propagation: not made here", m.Name, m.MountPath)
		}
		source, err := b.volume(v)
		if err != nil {
			return nil, err
		}
		options := []string{"rbind", "rprivate", "rw"}
		if m.ReadOnly {
			options[2] = "ro"
		}
		// The pod's own takes the place of the usual one at the same path.
		for i := range list {
			if list[i].Destination == m.MountPath {
				list = append(list[:i], list[i+1:]...)
				break
			}
		}
		list = append(list, specs.Mount{Destination: m.MountPath, Type: "bind", Source: source, Options: options})
	}
	return list, nil
}

// volume is the folder or file of the node that a volume is.
func (b builder) volume(v corev1.Volume) (string, error) {
	own := filepath.Join(b.dir, "volumes", v.Name)
	switch {
	case v.HostPath != nil:
		return b.hostPath(*v.HostPath)
	case v.EmptyDir != nil:
		if err := os.MkdirAll(own, 0o755); err != nil { //nolint:gosec // as the kubelet makes it
			return "", err
		}
		return own, os.Chmod(own, 0o777) //nolint:gosec // as the kubelet makes it
	case v.ConfigMap != nil:
		config, known := b.configs[v.ConfigMap.Name]
		if !known {
			return "", fmt.Errorf("there is no ConfigMap %s", v.ConfigMap.Name)
		}
		if err := os.MkdirAll(own, 0o755); err != nil { //nolint:gosec // as the kubelet makes it
			return "", err
		}
		for name, text := range config.Data {
			if err := os.WriteFile(filepath.Join(own, name), []byte(text), 0o644); err != nil { //nolint:gosec // as the kubelet makes it
				return "", err
			}
		}
		return own, nil
	}
	return "", fmt.Errorf("volume %s is of a kind that is not made here", v.Name)
}

func (b builder) hostPath(h corev1.HostPathVolumeSource) (string, error) {
	path := h.Path
	if b.node.Files != "" {
		if inFolder := filepath.Join(b.node.Files, h.Path); exists(inFolder) {
			path = inFolder
		}
	}
	info, err := os.Stat(path)
	switch {
	case h.Type == nil || *h.Type == corev1.HostPathUnset:
	case *h.Type == corev1.HostPathDirectory && (err != nil || !info.IsDir()),
		*h.Type == corev1.HostPathFile && (err != nil || !info.Mode().IsRegular()):
		return "", fmt.Errorf("the node's %s is not a %s", h.Path, *h.Type)
	case *h.Type == corev1.HostPathDirectoryOrCreate && err != nil:
		return "", fmt.Errorf("the node's %s would be created: give a folder that stands in for it", h.Path)
	}
	return path, nil
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
