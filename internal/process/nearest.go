package process

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/perfscope/perfscope/internal/cleantext"
)

const (
	// maxLookedAt bounds the processes that Nearest looks at.
	maxLookedAt = 4096
	// maxDistance is how many letters a name may differ by to be close.
	maxDistance = 3
)

// Near is a process that a rule did not choose, but almost.
type Near struct {
	PID int32
	// Name is its program's, Why says what does not hold.
	Name, Why string
	// far orders them, the closest first.
	far int
}

func (n Near) String() string { return fmt.Sprintf("%s (pid %d): %s", n.Name, n.PID, n.Why) }

// Nearest are the processes that come closest to a target rule which chooses
// none: those whose program may not be read though it has the name, for which
// all fields but one hold, or whose name is alike. It reads the whole host: call
// it now and then. An index without a rule gives none.
func (d *Discoverer) Nearest(rule, limit int) []Near {
	if rule < 0 || rule >= len(d.targets) {
		return nil
	}
	m := d.targets[rule]
	d.sockets = map[string]listeners{}
	var found []Near
	for i, pid := range slices.Sorted(maps.Keys(d.seen)) {
		if i >= maxLookedAt {
			break
		}
		st, err := d.fs.stat(pid)
		if err != nil || st.Flags&kernelThread != 0 {
			continue
		}
		f := &facts{fs: d.fs, pid: pid, stat: st, sockets: d.listenersOf, pods: d.pods}
		if n, near := m.nearness(f); near {
			found = append(found, n)
		}
	}
	slices.SortStableFunc(found, func(a, b Near) int { return cmp.Compare(a.far, b.far) })
	return found[:min(limit, len(found))]
}

// nearness says how far a process is from what the rule asks for.
func (m *matcher) nearness(f *facts) (Near, bool) {
	n := Near{PID: f.pid, Name: cleantext.Clean(cmp.Or(f.executable(), f.stat.Comm), cleantext.MaxPath)}
	failed := m.failing(f)
	set := m.rule.fields()
	switch {
	case len(failed) == 0:
		return n, false // it was chosen meanwhile, or is excluded
	case f.refused != nil && m.named(f.stat.Comm):
		n.Why = "has the name, but what the rule asks for cannot be read"
		return n, true
	case len(failed) == 1 && len(set) > 1:
		n.Why, n.far = "all holds but "+failed[0], 1
		return n, true
	case len(failed) > 1:
		return n, false
	}
	field, wanted, names := m.compared(f)
	alike := false
	for _, has := range names {
		far, is := distance(strings.ToLower(wanted), strings.ToLower(has))
		if is && (!alike || 2+far < n.far) {
			alike = true
			n.Why, n.far = fmt.Sprintf("its %s is %q", field, has), 2+far
		}
	}
	return n, alike
}

// named reports whether a process of this name could be meant by executable.
func (m *matcher) named(comm string) bool {
	const kernelCut = 15 // the kernel cuts names to this length
	wanted := baseName(m.rule.Executable)
	return wanted != "" && comm != "" && wanted[:min(len(wanted), kernelCut)] == comm
}

// failing are the fields of the rule that do not hold.
func (m *matcher) failing(f *facts) (failed []string) {
	for _, field := range m.rule.fields() {
		one := matcher{rule: Rule{ServiceName: m.rule.ServiceName}}
		switch field {
		case "executable":
			one.rule.Executable, one.executable = m.rule.Executable, m.executable
		case "command":
			one.rule.Command, one.cmd = m.rule.Command, m.cmd
		case "pid":
			one.rule.PID = m.rule.PID
		case "cgroup":
			one.rule.Cgroup, one.cgroup = m.rule.Cgroup, m.cgroup
		case "container_id":
			one.rule.ContainerID = m.rule.ContainerID
		case "systemd_unit":
			one.rule.SystemdUnit, one.unit = m.rule.SystemdUnit, m.unit
		case "port":
			one.rule.Port = m.rule.Port
		case "otel_service_name":
			one.rule.OTelServiceName, one.otel = m.rule.OTelServiceName, m.otel
		default:
			one.pod = m.pod.only(field)
		}
		if !one.matches(f) {
			failed = append(failed, field)
		}
	}
	return failed
}

// compared is what a rule of one field wants, and what the process has.
func (m *matcher) compared(f *facts) (field, wanted string, has []string) {
	plain := func(glob string) string { return strings.Trim(glob, "*?") }
	switch {
	case m.rule.Executable != "":
		has = []string{f.executable(), f.invoked()}
		if !strings.Contains(m.rule.Executable, "/") {
			has = []string{baseName(f.executable()), baseName(f.invoked()), f.stat.Comm}
		}
		return "executable", plain(m.rule.Executable), has
	case m.rule.SystemdUnit != "":
		return "systemd_unit", plain(m.rule.SystemdUnit), []string{strings.TrimSuffix(f.cgroup().Unit, ".service")}
	case m.rule.OTelServiceName != "":
		return "otel_service_name", plain(m.rule.OTelServiceName), []string{f.environment().ServiceName}
	case m.rule.ContainerID != "":
		return "container_id", m.rule.ContainerID, []string{f.cgroup().ContainerID}
	}
	return "", "", nil
}

// distance says whether two names are alike, and how far from each other: one
// inside the other, or a few letters apart.
func distance(a, b string) (int, bool) {
	const shortest = 3
	switch {
	case a == "" || b == "":
		return 0, false
	case min(len(a), len(b)) >= shortest && (strings.Contains(a, b) || strings.Contains(b, a)):
		return 0, true
	case len(a)-len(b) > maxDistance || len(b)-len(a) > maxDistance || len(a) > 256:
		return 0, false
	}
	// Levenshtein's, a row at a time.
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal, row[j+1] = row[j+1], min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)], row[len(b)] <= min(maxDistance, (len(a)+1)/3)
}

// fields are the names of those that are set.
func (r Rule) fields() (set []string) {
	for _, f := range []struct {
		name string
		set  bool
	}{
		{"executable", r.Executable != ""}, {"command", r.Command != ""}, {"pid", r.PID != 0},
		{"cgroup", r.Cgroup != ""}, {"container_id", r.ContainerID != ""}, {"systemd_unit", r.SystemdUnit != ""},
		{"port", r.Port != 0}, {"otel_service_name", r.OTelServiceName != ""},
	} {
		if f.set {
			set = append(set, f.name)
		}
	}
	pod, _ := r.Kubernetes.fields()
	return append(set, pod...)
}

// String is the rule as configuration writes it, on one line.
func (r Rule) String() string {
	var b strings.Builder
	_, pod := r.Kubernetes.fields()
	for _, field := range r.fields() {
		value, is := pod[field]
		if !is {
			value = map[string]any{
				"executable": r.Executable, "command": r.Command, "pid": r.PID, "cgroup": r.Cgroup, "container_id": r.ContainerID,
				"systemd_unit": r.SystemdUnit, "port": r.Port, "otel_service_name": r.OTelServiceName,
			}[field]
		}
		if b.Len() > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s: %v", field, value)
	}
	return b.String()
}
