package pod

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/moby/profiles/seccomp"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	corev1 "k8s.io/api/core/v1"
)

// usual are the capabilities of a container that asks for nothing:
// https://github.com/containerd/containerd/blob/main/pkg/oci/spec.go
var usual = []string{
	"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW", "CAP_SETGID",
	"CAP_SETUID", "CAP_SETFCAP", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL", "CAP_AUDIT_WRITE",
}

// process is what is started: the image's entry point with the pod's arguments.
func (b builder) process(env []string) (*specs.Process, error) {
	security := b.container.SecurityContext
	if security == nil || security.RunAsUser == nil {
		return nil, errors.New("a container that names its user is wanted")
	}
	if is(security.Privileged) {
		return nil, errors.New("a privileged container has the devices of the node: not made here")
	}
	args := []string{"/" + b.image.Name}
	if len(b.container.Command) > 0 {
		args = slices.Clone(b.container.Command)
	}
	user := specs.User{UID: uint32(*security.RunAsUser)} //nolint:gosec // Kubernetes bounds it
	if security.RunAsGroup != nil {
		user.GID = uint32(*security.RunAsGroup) //nolint:gosec // Kubernetes bounds it
	}
	caps := capabilities(security.Capabilities)
	granted := &specs.LinuxCapabilities{Bounding: caps}
	if user.UID == 0 {
		granted.Permitted, granted.Effective = caps, caps
	}
	return &specs.Process{
		User: user, Args: append(args, b.container.Args...), Env: env, Cwd: "/var/lib/perfscope",
		Capabilities:    granted,
		NoNewPrivileges: security.AllowPrivilegeEscalation != nil && !*security.AllowPrivilegeEscalation,
	}, nil
}

func capabilities(c *corev1.Capabilities) []string {
	caps := slices.Clone(usual)
	if c == nil {
		return caps
	}
	for _, name := range c.Drop {
		if name == "ALL" {
			caps = nil
		}
		caps = slices.DeleteFunc(caps, func(have string) bool { return have == "CAP_"+string(name) })
	}
	for _, name := range c.Add {
		if have := "CAP_" + string(name); !slices.Contains(caps, have) {
			caps = append(caps, have)
		}
	}
	return caps
}

// seccomp is the profile that containerd's is derived from, for the capabilities
// of the process.
func (b builder) seccomp(s *specs.Spec) (*specs.LinuxSeccomp, error) {
	profile := b.container.SecurityContext.SeccompProfile
	if profile == nil {
		return nil, nil //nolint:nilnil // Kubernetes' own default is none
	}
	switch profile.Type {
	case corev1.SeccompProfileTypeUnconfined:
		return nil, nil //nolint:nilnil // none is asked for
	case corev1.SeccompProfileTypeRuntimeDefault:
		return seccomp.GetDefaultProfile(s)
	}
	return nil, fmt.Errorf("seccomp profile %s: only RuntimeDefault and Unconfined are made here", profile.Type)
}

// environment is the image's and the container's.
func (b builder) environment() ([]string, error) {
	env := slices.Clone(b.image.Env())
	for _, v := range b.container.Env {
		value := v.Value
		switch from := v.ValueFrom; {
		case from == nil:
		case from.FieldRef != nil && from.FieldRef.FieldPath == "spec.nodeName":
			value = b.node.Name
		case from.FieldRef != nil && from.FieldRef.FieldPath == "status.hostIP":
			value = b.node.IP
		default:
			return nil, fmt.Errorf("the variable %s comes from where no value is known", v.Name)
		}
		if strings.Contains(value, "$(") {
			return nil, fmt.Errorf("the variable %s refers to others: not made here", v.Name)
		}
		env = append(env, v.Name+"="+value)
	}
	return env, nil
}
