package process

import (
	"regexp"
	"strings"

	"github.com/perfscope/perfscope/internal/cleantext"
)

// cgroup is where a process stands among the control groups.
type cgroup struct {
	// Line is the line of /proc/PID/cgroup that tells most (the unified
	// hierarchy's, else systemd's, else the first), as process.linux.cgroup
	// wants it: "0::/system.slice/redis-server.service".
	Line string
	// Paths are the distinct paths of all hierarchies.
	Paths []string
	// ContainerID is the innermost container's id, lower-case hexadecimal;
	// empty outside of a container.
	ContainerID string
	// PodUID is the Kubernetes pod's uid with dashes; empty outside of one.
	PodUID string
	// Unit is the innermost systemd unit (redis-server.service,
	// session-3.scope).
	Unit string
}

var (
	// Docker, containerd, CRI-O, Podman: 64 hexadecimal digits, alone
	// (cgroupfs driver) or as NAME-ID.scope (systemd driver). ECS Fargate:
	// 32 digits, a dash and a number.
	containerID = regexp.MustCompile(`^(?:([a-z0-9-]+)-)?([0-9a-f]{64}|[0-9a-f]{32}-[0-9]{1,20})(?:\.scope)?$`)
	podUID      = regexp.MustCompile(`^(?:kubepods[a-z-]*-)?pod([0-9a-f]{8}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{12})(?:\.slice)?$`)
)

func (fs procFS) cgroup(pid int32) (cgroup, error) {
	data, err := fs.read(pid, "cgroup", maxFileBytes)
	if err != nil {
		return cgroup{}, err
	}
	return parseCgroup(data), nil
}

// parseCgroup reads lines of the form hierarchy:controllers:path.
func parseCgroup(data []byte) cgroup {
	var c cgroup
	rank := 0
	seen := map[string]bool{}
	for line := range strings.Lines(string(data)) {
		line = cleantext.Clean(strings.TrimSuffix(line, "\n"), cleantext.MaxPath)
		hierarchy, rest, ok := strings.Cut(line, ":")
		if !ok {
			continue
		}
		controllers, path, ok := strings.Cut(rest, ":")
		if !ok || !strings.HasPrefix(path, "/") {
			continue
		}
		// On a hybrid host every hierarchy is listed, and the unified one
		// may be at its root: prefer a path that says something.
		r := 1
		switch {
		case path == "/":
		case hierarchy == "0" && controllers == "":
			r = 4
		case controllers == "name=systemd":
			r = 3
		default:
			r = 2
		}
		if r > rank {
			rank, c.Line = r, line
		}
		if !seen[path] {
			seen[path] = true
			c.Paths = append(c.Paths, path)
			c.identify(path)
		}
	}
	return c
}

// identify takes container, pod and unit from one path; what an earlier
// hierarchy said stays.
func (c *cgroup) identify(path string) {
	var container, pod, service, scope string
	for part := range strings.SplitSeq(path, "/") {
		if m := containerID.FindStringSubmatch(part); m != nil && !strings.HasSuffix(m[1], "conmon") {
			container = m[2]
			continue
		}
		if m := podUID.FindStringSubmatch(part); m != nil {
			pod = strings.ReplaceAll(m[1], "_", "-")
			continue
		}
		switch {
		case strings.HasSuffix(part, ".service"):
			service, scope = part, ""
		case strings.HasSuffix(part, ".scope"):
			scope = part
		}
	}
	if c.ContainerID == "" {
		c.ContainerID = container
	}
	if c.PodUID == "" {
		c.PodUID = pod
	}
	if c.Unit == "" {
		if c.Unit = scope; c.Unit == "" {
			c.Unit = service
		}
	}
}
