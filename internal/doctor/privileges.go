package doctor

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/perfscope/perfscope/internal/listeners"
)

// capability is one of linux/capability.h.
type capability struct {
	name string
	bit  uint
	// instead grants it, too; cost is what is lost without.
	instead uint
	level   Level
	cost    string
}

const (
	capDACOverride = 1
	capSysAdmin    = 21
)

var needed = []capability{
	{"CAP_BPF", 39, capSysAdmin, Fails, "eBPF programs cannot be loaded"},
	{"CAP_PERFMON", 38, capSysAdmin, Fails, "eBPF programs cannot be attached"},
	{"CAP_SYS_PTRACE", 19, 19, Warns, "programs, names and sockets of other accounts' processes are not readable: rules with executable or port do not find them, functions have no names"},
	{"CAP_DAC_READ_SEARCH", 2, capDACOverride, Warns, "OTEL_SERVICE_NAME of other accounts' processes is not readable"},
}

const howToGrant = "systemd: AmbientCapabilities=%[1]s; Docker and Podman: --cap-add %[2]s; Kubernetes: capabilities: {add: [%[2]s]}; a shell: setcap %[3]s+ep on the program"

func (h Host) capabilities() (checks []Check) {
	text, err := h.status("CapEff")
	var set uint64
	if err == nil {
		set, err = strconv.ParseUint(text, 16, 64)
	}
	if err != nil {
		return []Check{{"capabilities", Warns, err.Error(), "mount /proc"}}
	}
	for _, c := range needed {
		check := Check{Name: c.name, Found: "held"}
		if set&(1<<c.bit) == 0 && set&(1<<c.instead) == 0 {
			short := strings.TrimPrefix(c.name, "CAP_")
			check.Level, check.Found = c.level, "missing: "+c.cost
			check.Fix = strings.NewReplacer("%[1]s", c.name, "%[2]s", short, "%[3]s", strings.ToLower(c.name)).Replace(howToGrant)
		}
		checks = append(checks, check)
	}
	return checks
}

func (h Host) seccomp() Check {
	mode, err := h.status("Seccomp")
	if err == nil && mode == "2" {
		return Check{"seccomp", OK, "a filter is on; what it forbids shows below as a refusal",
			"if loading fails: it must allow bpf and perf_event_open (systemd: SystemCallFilter=bpf perf_event_open)"}
	}
	return Check{Name: "seccomp", Found: "no filter"}
}

func (h Host) lockdown() Check {
	c := Check{Name: "lockdown", Found: "none"}
	data, err := os.ReadFile(filepath.Join(h.Sys, "kernel/security/lockdown"))
	if err != nil {
		return c
	}
	_, rest, _ := strings.Cut(string(data), "[")
	c.Found, _, _ = strings.Cut(rest, "]")
	if c.Found == "confidentiality" {
		c.Level = Warns
		c.Fix = "no stacks of calls and samples: nothing that runs is named, only what waits; boot with lockdown=integrity"
	}
	return c
}

// confinement is of security modules that keep processes from being read.
func (h Host) confinement() Check {
	c := Check{Name: "security module", Found: "not confined"}
	label, err := os.ReadFile(filepath.Join(h.Proc, h.self(), "attr/current"))
	name := strings.Trim(string(label), "\x00\n ")
	if err != nil || name == "" || strings.HasPrefix(name, "unconfined") {
		return c
	}
	c.Level, c.Found = Warns, "confined by "+name
	c.Fix = "processes of others may be unreadable: AppArmor: unconfined (Docker: --security-opt apparmor=unconfined, Kubernetes: appArmorProfile: {type: Unconfined}); SELinux: spc_t"
	return c
}

func (h Host) cgroups() Check {
	c := Check{Name: "control groups"}
	data, err := os.ReadFile(filepath.Join(h.Proc, "1/cgroup"))
	switch {
	case err != nil:
		c.Level, c.Found, c.Fix = Warns, err.Error(), "rules by cgroup, container, pod and unit do not match"
	case len(data) == 0:
		c.Level, c.Found, c.Fix = Warns, "the kernel has none", "rules by cgroup, container, pod and unit do not match: use executable, port or command"
	case strings.HasPrefix(string(data), "0::"):
		c.Found = "version 2"
	default:
		c.Found = "version 1 or both"
	}
	return c
}

func (h Host) load() Check {
	c := Check{Name: "eBPF programs", Found: "the kernel takes all of them"}
	parts, err := h.Load()
	switch {
	case err != nil:
		c.Level, c.Found, c.Fix = Fails, err.Error(), "see the checks above; the collector would not start"
	case len(parts) > 0:
		c.Level, c.Found, c.Fix = Warns, "the kernel denies a part: "+strings.Join(parts, "; "), "docs/privileges.md says what is given up with each"
	}
	return c
}

func (h Host) ports() (checks []Check) {
	for _, p := range listeners.Agent() {
		c := Check{Name: "port of " + p.Use, Found: p.Default + " is free"}
		if err := h.Listen(p.Default); err != nil {
			c.Level, c.Found = Warns, p.Default+" cannot be listened on: "+err.Error()
			c.Fix = "set " + p.Variable + " to another, in /etc/perfscope/environment or the environment"
			if errors.Is(err, syscall.EADDRINUSE) {
				c.Found = p.Default + " is in use: " + err.Error()
				c.Fix = "unless that is the agent itself: " + c.Fix
			}
		}
		checks = append(checks, c)
	}
	return checks
}
