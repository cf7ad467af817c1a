package capture

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

const btfPath = "/sys/kernel/btf/vmlinux"

// howToGrant is appended to every error that a capability would cure.
const howToGrant = `run as root, or grant the two: "setcap cap_bpf,cap_perfmon+ep" on the binary, ` +
	`"AmbientCapabilities=CAP_BPF CAP_PERFMON" in the systemd unit, ` +
	`or "securityContext: {capabilities: {add: [BPF, PERFMON]}}" in Kubernetes (kernels before 5.8: CAP_SYS_ADMIN)`

// effectiveCapabilities reads the capability set of this process from the
// text of /proc/self/status.
func effectiveCapabilities(status string) (uint64, error) {
	for line := range strings.Lines(status) {
		if v, ok := strings.CutPrefix(line, "CapEff:"); ok {
			return strconv.ParseUint(strings.TrimSpace(v), 16, 64)
		}
	}
	return 0, errors.New("no CapEff line in /proc/self/status")
}

// missingCapabilities names what a capability set lacks.
func missingCapabilities(set uint64) []string {
	has := func(c uint) bool { return set&(1<<c) != 0 }
	if has(unix.CAP_SYS_ADMIN) {
		return nil
	}
	var missing []string
	if !has(unix.CAP_BPF) {
		missing = append(missing, "CAP_BPF")
	}
	if !has(unix.CAP_PERFMON) {
		missing = append(missing, "CAP_PERFMON")
	}
	return missing
}

// checkEnvironment finds, before anything is loaded, what would make loading
// fail with an error that says less.
func checkEnvironment() error {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return fmt.Errorf("capture: cannot read the process's capabilities: %w", err)
	}
	set, err := effectiveCapabilities(string(status))
	if err != nil {
		return fmt.Errorf("capture: cannot read the process's capabilities: %w", err)
	}
	if missing := missingCapabilities(set); len(missing) > 0 {
		return fmt.Errorf("capture: this process lacks %s, which loading eBPF programs needs: %s",
			strings.Join(missing, " and "), howToGrant)
	}
	if err := pidNamespace(); err != nil {
		return err
	}
	if _, err := os.Stat(btfPath); err != nil {
		return fmt.Errorf("capture: the kernel offers no type information at %s (%w): "+
			"use a kernel built with CONFIG_DEBUG_INFO_BTF=y (5.10 or later; all current distributions), and in a container mount /sys", btfPath, err)
	}
	return nil
}

// initialPIDNamespace is the inode of the first PID namespace, PROC_PID_INIT_INO
// of the kernel; the others get what is free.
const initialPIDNamespace = 0xEFFFFFFC

func pidNamespace() error {
	var ns unix.Stat_t
	if err := unix.Stat("/proc/self/ns/pid", &ns); err != nil {
		return fmt.Errorf("capture: cannot tell which PID namespace this is (is /proc mounted?): %w", err)
	}
	self, err := os.Readlink("/proc/self")
	if err != nil {
		return fmt.Errorf("capture: cannot tell which PID namespace /proc is of: %w", err)
	}
	return checkPIDNamespace(ns.Ino, self, os.Getpid())
}

// checkPIDNamespace holds process ids to mean the same here, in /proc and in
// the kernel. Where they do not, the tracer would follow other processes than
// those it was told, or none.
func checkPIDNamespace(inode uint64, self string, pid int) error {
	switch {
	case inode != initialPIDNamespace:
		return errors.New("capture: this process is in a PID namespace of its own, and the kernel's process ids are those of the host: " +
			"share the host's (hostPID: true in the Kubernetes pod, --pid=host in Docker and Podman)")
	case self != strconv.Itoa(pid):
		return fmt.Errorf("capture: /proc is of another PID namespace: it knows this process as %s, which is %d: "+
			"mount the /proc of the PID namespace the process runs in (with hostPID: true or --pid=host, the host's)", self, pid)
	}
	return nil
}

// lockdown returns the kernel's lockdown mode: none, integrity,
// confidentiality, or "" when it has none.
func lockdown() string {
	b, err := os.ReadFile("/sys/kernel/security/lockdown")
	if err != nil {
		return ""
	}
	_, rest, _ := strings.Cut(string(b), "[")
	mode, _, _ := strings.Cut(rest, "]")
	return mode
}

// refusal is an error of the kernel in words that say what to do.
type refusal struct {
	text  string
	cause error
}

func (r *refusal) Error() string { return r.text }
func (r *refusal) Unwrap() error { return r.cause }

func refused(what string, err error) error {
	return &refusal{"capture: " + what + ": " + explain(err), err}
}

// explain returns the text of an error of the kernel and what it most likely
// means here.
func explain(err error) string {
	text := err.Error()
	// The verifier's log can be pages; its end is what matters.
	if i := strings.IndexByte(text, '\n'); i >= 0 {
		text = text[:i]
	}
	// Any refusal to load is a VerifierError; with a log it is the verifier's.
	var verifier *ebpf.VerifierError
	switch {
	case lockdown() == "confidentiality":
		return text + "; the kernel is locked down (confidentiality), which refuses reading memory from eBPF: boot with lockdown=integrity or none"
	case errors.As(err, &verifier) && len(verifier.Log) > 0:
		for _, old := range []string{"unknown func", "invalid func", "Sleepable programs can only use"} {
			if strings.Contains(text, old) {
				return text + "; kernel " + kernelRelease() + " lacks what the program needs: use a newer one"
			}
		}
		return "the verifier of kernel " + kernelRelease() + " refuses the program (a PerfScope bug, please report): " + text
	case errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES):
		return text + "; the capabilities are there but the kernel refuses them: inside a user namespace they count for nothing, " +
			"a seccomp profile may forbid bpf() and perf_event_open(), and kernels before 5.11 count maps against RLIMIT_MEMLOCK (ulimit -l unlimited); " + howToGrant
	}
	return text
}

func kernelRelease() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "of unknown release"
	}
	return unix.ByteSliceToString(u.Release[:])
}
