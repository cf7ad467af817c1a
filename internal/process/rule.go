package process

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

// Rule selects processes. Every field that is set must hold (AND); a rule
// without any field selects nothing and is refused.
type Rule struct {
	// Executable is a glob over the path of the program
	// (/usr/bin/redis-server, /opt/**/bin/*); without a slash it is
	// matched with the base name. The link a program was started by
	// matches, too.
	Executable string
	// Command is a regular expression (RE2) searched in the command line,
	// arguments joined by one space.
	Command string
	// PID is the process's id in the collector's PID namespace.
	PID int32
	// Cgroup is a glob over the path of a control group.
	Cgroup string
	// ContainerID is the front of the container's id, 6 to 64 hexadecimal
	// digits.
	ContainerID string
	// SystemdUnit is a glob over the unit's name; .service is implied.
	SystemdUnit string
	// Port is a TCP port the process itself listens on.
	Port uint16
	// OTelServiceName is a glob over the service name that the process's
	// environment gives (OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES).
	OTelServiceName string
	// Kubernetes selects by pod; nil for any.
	Kubernetes *PodRule
	// ServiceName overrides the service's name; it selects nothing.
	ServiceName string
}

var containerPrefix = regexp.MustCompile(`^[0-9a-f]{6,64}$`)

// errNoField is what an empty rule gets.
var errNoField = errors.New("has no rule: set at least one of executable, command, pid, cgroup, container_id, systemd_unit, port, otel_service_name, k8s_namespace, k8s_pod, k8s_deployment, k8s_container, k8s_labels")

// Validate reports what is wrong with the rule, one sentence per error that
// names the field as configuration writes it.
func (r Rule) Validate() error {
	_, err := r.compile()
	return err
}

// matcher is a compiled Rule.
type matcher struct {
	rule                                Rule
	executable, cgroup, unit, otel, cmd *regexp.Regexp
	pod                                 *podMatcher
}

func (r Rule) compile() (*matcher, error) {
	if r.Executable == "" && r.Command == "" && r.PID == 0 && r.Cgroup == "" && r.ContainerID == "" &&
		r.SystemdUnit == "" && r.Port == 0 && r.OTelServiceName == "" && r.Kubernetes.empty() {
		return nil, errNoField
	}
	m := &matcher{rule: r}
	var errs []error
	glob := func(key, pattern string, crossSlash bool) *regexp.Regexp {
		if pattern == "" {
			return nil
		}
		re, err := compileGlob(pattern, crossSlash)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %q is not a glob (*, ** and ? and [a-z] are allowed): %w", key, pattern, err))
		}
		return re
	}
	m.executable = glob("executable", r.Executable, false)
	m.cgroup = glob("cgroup", r.Cgroup, false)
	m.otel = glob("otel_service_name", r.OTelServiceName, true)
	unit := r.SystemdUnit
	if unit != "" && !strings.Contains(unit, ".") {
		unit += ".service"
	}
	m.unit = glob("systemd_unit", unit, true)
	if r.Command != "" {
		re, err := regexp.Compile(r.Command)
		if err != nil {
			errs = append(errs, fmt.Errorf("command: %q is not a regular expression (RE2 syntax is allowed): %w", r.Command, err))
		}
		m.cmd = re
	}
	pod, err := r.Kubernetes.compile()
	if err != nil {
		errs = append(errs, err)
	}
	m.pod = pod
	if r.PID < 0 {
		errs = append(errs, fmt.Errorf("pid: must be positive, not %d", r.PID))
	}
	if r.ContainerID != "" && !containerPrefix.MatchString(r.ContainerID) {
		errs = append(errs, fmt.Errorf("container_id: must be 6 to 64 lower-case hexadecimal digits, not %q", r.ContainerID))
	}
	return m, errors.Join(errs...)
}

// compileGlob turns a glob into an anchored expression: * is any run of
// characters (but '/', unless crossSlash), ** any run at all, ? one character,
// [a-z] and [!a-z] a class.
func compileGlob(pattern string, crossSlash bool) (*regexp.Regexp, error) {
	one := "[^/]"
	if crossSlash {
		one = "."
	}
	var b strings.Builder
	b.WriteString(`(?s)^`)
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; c {
		case '*':
			if i+1 < len(pattern) && pattern[i+1] == '*' {
				i++
				b.WriteString(".*")
			} else {
				b.WriteString(one + "*")
			}
		case '?':
			b.WriteString(one)
		case '[':
			end := strings.IndexByte(pattern[i+1:], ']')
			if end < 1 {
				return nil, errors.New("[ without ]")
			}
			class := pattern[i+1 : i+1+end]
			i += end + 1
			if class[0] == '!' {
				class = "^" + class[1:]
			}
			b.WriteString("[" + strings.ReplaceAll(class, `\`, `\\`) + "]")
		default:
			b.WriteString(regexp.QuoteMeta(string(c)))
		}
	}
	b.WriteString("$")
	return regexp.Compile(b.String())
}

// matches reports whether every field of the rule holds for the process.
// Cheap facts come first: the others are read only when still needed.
func (m *matcher) matches(f *facts) bool {
	r := m.rule
	if r.PID != 0 && r.PID != f.pid {
		return false
	}
	if m.executable != nil && !m.matchesExecutable(f.executable()) && !m.matchesExecutable(f.invoked()) {
		return false
	}
	if m.cmd != nil && !m.cmd.MatchString(f.command()) {
		return false
	}
	if m.cgroup != nil || r.ContainerID != "" || m.unit != nil {
		if !m.matchesCgroup(f.cgroup()) {
			return false
		}
	}
	if m.pod != nil && !m.pod.matches(f.pod()) {
		return false
	}
	if m.otel != nil {
		name := f.environment().ServiceName
		if name == "" || !m.otel.MatchString(name) {
			return false
		}
	}
	return r.Port == 0 || slices.ContainsFunc(f.listening(), func(s netip.AddrPort) bool { return s.Port() == r.Port })
}

func (m *matcher) matchesExecutable(path string) bool {
	if path == "" {
		return false
	}
	if strings.Contains(m.rule.Executable, "/") {
		return m.executable.MatchString(path)
	}
	for _, name := range withoutVersion(baseName(path)) {
		if m.executable.MatchString(name) {
			return true
		}
	}
	return false
}

// withoutVersion is a program's name, and the names of any version of it: those of
// python3.11 are python3 and python, too, and that of php-fpm8.2 is php-fpm. A number
// without a dot may be part of the name (bzip2).
func withoutVersion(name string) []string {
	plain := strings.TrimRight(name, "0123456789.")
	major, _, dotted := strings.Cut(name[len(plain):], ".")
	if !dotted || plain == "" || major == "" {
		return []string{name}
	}
	return []string{name, plain + major, plain}
}

func (m *matcher) matchesCgroup(c cgroup) bool {
	if m.rule.ContainerID != "" && (c.ContainerID == "" || !strings.HasPrefix(c.ContainerID, m.rule.ContainerID)) {
		return false
	}
	if m.unit != nil && (c.Unit == "" || !m.unit.MatchString(c.Unit)) {
		return false
	}
	if m.cgroup == nil {
		return true
	}
	for _, path := range c.Paths {
		if m.cgroup.MatchString(path) {
			return true
		}
	}
	return false
}

func baseName(path string) string {
	return path[strings.LastIndexByte(path, '/')+1:]
}
