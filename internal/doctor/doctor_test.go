package doctor

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// host is a host on disk.
func host(t *testing.T, files map[string]string) Host {
	t.Helper()
	root := t.TempDir()
	all := map[string]string{
		"sys/kernel/btf/vmlinux":       "types",
		"sys/kernel/security/lockdown": "[none] integrity confidentiality\n",
		"proc/self/status":             "Name:\tx\nCapEff:\t000001ffffffffff\nSeccomp:\t0\n",
		"proc/self/attr/current":       "unconfined\n",
		"proc/1/cgroup":                "0::/init.scope\n",
	}
	namespace := initialPIDNamespace
	for name, text := range files {
		if name == "pid" {
			namespace = text
			continue
		}
		all[name] = text
	}
	for name, text := range all {
		if text == "" {
			continue
		}
		file := filepath.Join(root, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o750), os.WriteFile(file, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	link := filepath.Join(root, "proc/self/ns/pid")
	if err := errors.Join(os.MkdirAll(filepath.Dir(link), 0o750), os.Symlink(namespace, link)); err != nil {
		t.Fatal(err)
	}
	return Host{
		Proc: filepath.Join(root, "proc"), Sys: filepath.Join(root, "sys"), Release: "6.1.0-44-amd64", Machine: "x86_64",
		Load:   func() ([]string, error) { return nil, nil },
		Listen: func(string) error { return nil },
	}
}

func TestWhatIsMissingIsNamed(t *testing.T) {
	for name, tc := range map[string]struct {
		files  map[string]string
		change func(*Host)
		worst  Level
		want   []string
	}{
		"all is well":    {worst: OK},
		"an old kernel":  {change: func(h *Host) { h.Release = "4.19.0-27" }, worst: Fails, want: []string{"5.10 or newer"}},
		"Debian 11":      {change: func(h *Host) { h.Release = "5.10.0-36-amd64" }, worst: Warns, want: []string{"no stacks of CPU samples"}},
		"5.15":           {change: func(h *Host) { h.Release = "5.15.1" }, worst: Warns, want: []string{"no stacks of blocked threads"}},
		"another system": {change: func(h *Host) { h.Release = "unknown" }, worst: Warns, want: []string{"cannot be read"}},
		"32 bit":         {change: func(h *Host) { h.Machine = "i686" }, worst: Fails, want: []string{"amd64 and arm64"}},
		"no types":       {files: map[string]string{"sys/kernel/btf/vmlinux": ""}, worst: Fails, want: []string{"CONFIG_DEBUG_INFO_BTF"}},
		"a container":    {files: map[string]string{"pid": "pid:[4026532000]"}, worst: Fails, want: []string{"hostPID: true"}},
		"no privileges": {
			files: map[string]string{"proc/self/status": "CapEff:\t0000000000000000\nSeccomp:\t2\n"}, worst: Fails,
			want: []string{"AmbientCapabilities=CAP_BPF", "setcap cap_perfmon+ep", "--cap-add SYS_PTRACE", "OTEL_SERVICE_NAME", "SystemCallFilter"},
		},
		"the unit's": {files: map[string]string{"proc/self/status": "CapEff:\t000000c000080004\nSeccomp:\t2\n"}, worst: OK},
		"without the environment": {
			files: map[string]string{"proc/self/status": "CapEff:\t000000c000080000\n"}, worst: Warns, want: []string{"CAP_DAC_READ_SEARCH"},
		},
		"locked down": {
			files: map[string]string{"sys/kernel/security/lockdown": "none integrity [confidentiality]\n"},
			worst: Warns, want: []string{"lockdown=integrity"},
		},
		"AppArmor":        {files: map[string]string{"proc/self/attr/current": "docker-default (enforce)\n"}, worst: Warns, want: []string{"apparmor=unconfined"}},
		"no cgroups":      {files: map[string]string{"proc/1/cgroup": ""}, worst: Warns, want: []string{"do not match"}},
		"refused":         {change: func(h *Host) { h.Load = func() ([]string, error) { return nil, errors.New("bpf: EPERM") } }, worst: Fails, want: []string{"bpf: EPERM"}},
		"refused in part": {change: func(h *Host) { h.Load = func() ([]string, error) { return []string{"samples: no"}, nil } }, worst: Warns, want: []string{"samples: no"}},
		"a port in use":   {change: func(h *Host) { h.Listen = func(string) error { return syscall.EADDRINUSE } }, worst: Warns, want: []string{"is in use", "unless that is the agent itself: set PERFSCOPE_METRICS_PORT"}},
		"no such address": {change: func(h *Host) { h.Listen = func(string) error { return errors.New("no such host") } }, worst: Warns, want: []string{"cannot be listened on: no such host", "set PERFSCOPE_METRICS_PORT"}},
		"a process's pid": {change: func(h *Host) { h.PID = 7 }, worst: Fails, want: []string{"/7/"}},
	} {
		t.Run(name, func(t *testing.T) {
			h := host(t, tc.files)
			if tc.change != nil {
				tc.change(&h)
			}
			var out strings.Builder
			worst, err := Report(&out, Run(h))
			if err != nil {
				t.Fatal(err)
			}
			if worst != tc.worst {
				t.Errorf("worst is %s, want %s:\n%s", worst, tc.worst, out.String())
			}
			for _, want := range tc.want {
				if !strings.Contains(out.String(), want) {
					t.Errorf("%q is missing:\n%s", want, out.String())
				}
			}
		})
	}
}
