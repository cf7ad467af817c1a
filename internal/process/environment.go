package process

import (
	"bytes"
	"net/url"
	"strings"

	"github.com/perfscope/perfscope/internal/cleantext"
)

// environment is what the OpenTelemetry variables of a process's initial
// environment say of its service. Nothing else of the environment is kept: it
// holds secrets.
type environment struct {
	// ServiceName is OTEL_SERVICE_NAME, else service.name of
	// OTEL_RESOURCE_ATTRIBUTES.
	ServiceName string
	// Namespace and Instance are service.namespace and service.instance.id
	// of OTEL_RESOURCE_ATTRIBUTES: what the process's own spans carry.
	Namespace, Instance string
	// erased is set when the process has written something else over it: its title
	// (setproctitle, $0 of Perl), which begins where the arguments are.
	erased bool
}

func (fs procFS) environment(pid int32) (environment, error) {
	data, err := fs.readMemory(pid, "environ", maxFileBytes)
	if err != nil {
		return environment{}, err
	}
	env := parseEnvironment(data)
	clear(data)
	return env, nil
}

// parseEnvironment reads the NUL separated NAME=value list of
// /proc/PID/environ.
func parseEnvironment(data []byte) environment {
	var env environment
	var named string
	env.erased = len(data) > 0 && !isVariable(data)
	for len(data) > 0 {
		entry, rest, _ := bytes.Cut(data, []byte{0})
		data = rest
		if value, ok := bytes.CutPrefix(entry, []byte("OTEL_SERVICE_NAME=")); ok {
			named = cleantext.Clean(string(value), cleantext.MaxName)
		}
		if value, ok := bytes.CutPrefix(entry, []byte("OTEL_RESOURCE_ATTRIBUTES=")); ok {
			env.resource(string(value))
		}
	}
	// OTEL_SERVICE_NAME wins over the attribute, whichever comes first.
	if named != "" {
		env.ServiceName = named
	}
	return env
}

// isVariable reports whether an environment begins with a variable.
func isVariable(data []byte) bool {
	entry, _, _ := bytes.Cut(data, []byte{0})
	name, _, ok := bytes.Cut(entry, []byte("="))
	return ok && len(name) > 0 && !bytes.ContainsAny(name, " \t:/")
}

// resource reads the comma separated key=value list, values percent-encoded,
// of OTEL_RESOURCE_ATTRIBUTES.
func (e *environment) resource(list string) {
	for pair := range strings.SplitSeq(list, ",") {
		key, value, ok := strings.Cut(pair, "=")
		if !ok {
			continue
		}
		value = strings.TrimSpace(value)
		if decoded, err := url.PathUnescape(value); err == nil {
			value = decoded
		}
		value = cleantext.Clean(value, cleantext.MaxName)
		switch strings.TrimSpace(key) {
		case "service.name":
			e.ServiceName = value
		case "service.namespace":
			e.Namespace = value
		case "service.instance.id":
			e.Instance = value
		}
	}
}
