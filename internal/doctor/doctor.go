// Package doctor checks whether a host lets the syscall receiver work, and says
// of each thing that is missing what it costs and how to get it.
package doctor

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/hashicorp/go-version"
)

// Level is how a check ended.
type Level int

// The levels: Fails keeps the receiver from starting, Warns takes a part of it.
const (
	OK Level = iota
	Warns
	Fails
)

func (l Level) String() string { return [...]string{"ok", "WARN", "FAIL"}[l] }

// Check is what was found of one thing.
type Check struct {
	Name  string
	Level Level
	// Found is what is there, Fix what to do about it; empty when it is well.
	Found, Fix string
}

// Host is what is looked at.
type Host struct {
	// Proc and Sys are where these file systems are mounted.
	Proc, Sys string
	// Release and Machine are uname's.
	Release, Machine string
	// PID is the process whose privileges count: an agent that runs, or, as
	// zero, the caller.
	PID int
	// Load loads what the receiver needs into the kernel and takes it out again;
	// parts are what the kernel denies. Nil leaves that out.
	Load func() (parts []string, err error)
	// Listen tries an address.
	Listen func(address string) error
}

// Run does all checks, in the order in which they are worth mending.
func Run(h Host) []Check {
	checks := []Check{h.kernel(), h.types(), h.processes()}
	checks = append(checks, h.capabilities()...)
	checks = append(checks, h.seccomp(), h.lockdown(), h.confinement(), h.cgroups())
	if h.Load != nil {
		checks = append(checks, h.load())
	}
	return append(checks, h.ports()...)
}

// Report writes the checks and returns the worst level.
func Report(w io.Writer, checks []Check) (worst Level, err error) {
	for _, c := range checks {
		worst = max(worst, c.Level)
		if _, err := fmt.Fprintf(w, "%-4s  %-24s %s\n", c.Level, c.Name, c.Found); err != nil {
			return worst, err
		}
		if c.Fix != "" {
			if _, err := fmt.Fprintf(w, "      %-24s -> %s\n", "", c.Fix); err != nil {
				return worst, err
			}
		}
	}
	return worst, nil
}

// numbers are the first two of a kernel's release.
var numbers = regexp.MustCompile(`^\d+\.\d+`)

func (h Host) kernel() Check {
	c := Check{Name: "kernel", Found: h.Release + " on " + h.Machine}
	if h.Machine != "x86_64" && h.Machine != "aarch64" {
		c.Level, c.Fix = Fails, "PerfScope's receiver runs on amd64 and arm64 only"
		return c
	}
	running, err := version.NewVersion(numbers.FindString(h.Release))
	if err != nil {
		c.Level, c.Fix = Warns, "the release cannot be read: it must be 5.10 or newer"
		return c
	}
	for _, step := range []struct {
		before, fix string
		level       Level
	}{
		{"5.10", "use a kernel 5.10 or newer", Fails},
		{"5.15", "no stacks of CPU samples before 5.15: what computes is seen, not where", Warns},
		{"5.18", "no stacks of blocked threads before 5.18: what waits is seen, not where", Warns},
	} {
		if running.LessThan(version.Must(version.NewVersion(step.before))) {
			c.Level, c.Fix = step.level, step.fix
			return c
		}
	}
	return c
}

func (h Host) types() Check {
	path := filepath.Join(h.Sys, "kernel/btf/vmlinux")
	if _, err := os.Stat(path); err != nil {
		return Check{"kernel types (BTF)", Fails, "not readable: " + err.Error(),
			"use a kernel with CONFIG_DEBUG_INFO_BTF=y (every current distribution has it); in a container mount /sys"}
	}
	return Check{Name: "kernel types (BTF)", Found: path}
}

// initialPIDNamespace is PROC_PID_INIT_INO of the kernel.
const initialPIDNamespace = "pid:[4026531836]"

func (h Host) processes() Check {
	c := Check{Name: "processes of the host"}
	ns, err := os.Readlink(filepath.Join(h.Proc, h.self(), "ns/pid"))
	switch {
	case err != nil:
		c.Level, c.Found, c.Fix = Fails, err.Error(), "mount /proc, without hidepid for this account"
	case ns != initialPIDNamespace:
		c.Level, c.Found = Fails, "a PID namespace of its own: only the processes in it are seen"
		c.Fix = "share the host's: hostPID: true in Kubernetes, --pid=host in Docker and Podman"
	default:
		c.Found = "all are seen"
	}
	return c
}

func (h Host) self() string {
	if h.PID == 0 {
		return "self"
	}
	return strconv.Itoa(h.PID)
}

// status is a line of /proc/PID/status.
func (h Host) status(field string) (string, error) {
	data, err := os.ReadFile(filepath.Join(h.Proc, h.self(), "status"))
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(data)) {
		if value, ok := strings.CutPrefix(line, field+":"); ok {
			return strings.TrimSpace(value), nil
		}
	}
	return "", fmt.Errorf("no %s in the status of process %s", field, cmp.Or(h.self(), "self"))
}
