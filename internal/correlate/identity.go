// Package correlate ties spans to abnormal stretches of the service they come
// from, or call. It holds what was concluded of each service (the Ledger) and
// spans that came before their conclusion did (the Store), and knows neither
// the Collector nor its data types.
package correlate

import "strings"

// Identity is what a resource says of whose telemetry it is; an empty field is
// one it does not say.
type Identity struct {
	// Name, Namespace and Instance are service.name, service.namespace and
	// service.instance.id.
	Name, Namespace, Instance string
	// HostID and HostName are host.id and host.name.
	HostID, HostName string
	// Container and Pod are container.id and k8s.pod.uid.
	Container, Pod string
	// PID is process.pid, zero if unknown.
	PID int64
}

// Len is the length of its texts in bytes.
func (i Identity) Len() int {
	return len(i.Name) + len(i.Namespace) + len(i.Instance) + len(i.HostID) + len(i.HostName) + len(i.Container) + len(i.Pod)
}

// Tie is what ties a span to a service: the attribute that decided.
type Tie string

// The ties, the surest first. Those to a server are of the spans that call it.
const (
	TieInstance  Tie = "service.instance.id"
	TieProcess   Tie = "process.pid"
	TieContainer Tie = "container.id"
	TiePod       Tie = "k8s.pod.uid"
	TieName      Tie = "service.name"

	// TieTraceContext is of a span whose request a thread of the service was
	// seen to receive.
	TieTraceContext Tie = "trace_context"

	TiePeerAddress   Tie = "network.peer.address"
	TieServerAddress Tie = "server.address"
)

// strength orders the ties of a span's own service.
var strength = map[Tie]int{TieInstance: 5, TieProcess: 4, TieContainer: 3, TiePod: 2, TieName: 1}

// Key tells service instances apart: the processes of one instance share it.
func (i Identity) Key() string {
	host := i.HostID
	if host == "" {
		host = i.HostName
	}
	return i.Namespace + "\x00" + i.Name + "\x00" + i.Instance + "\x00" + host
}

// Service tells services apart, whatever their instances: by name and namespace.
func (i Identity) Service() string {
	if i.Namespace == "" {
		return i.Name
	}
	return i.Namespace + serviceSeparator + i.Name
}

const serviceSeparator = "\x00"

// ServiceName is the name in what Identity.Service gives.
func ServiceName(service string) string {
	if _, name, found := strings.Cut(service, serviceSeparator); found {
		return name
	}
	return service
}

// tie says what ties spans, as their resource gives them, to this service;
// empty when nothing does. running tells that the service has a process with
// their pid.
//
// The names must be equal, and of what else both sides say the places must not
// contradict. The instances decide alone when they are equal, and nothing when
// they differ: an SDK makes up one of its own. A process of the same host, and
// a container, are the same whatever they are called: a name that is set in
// the program's code is not known to who looks from outside.
func (i Identity) tie(spans Identity, running bool) Tie {
	named := i.Name != "" && i.Name == spans.Name && !differ(i.Namespace, spans.Namespace)
	switch {
	case named && i.Instance != "" && i.Instance == spans.Instance:
		return TieInstance
	case i.elsewhere(spans):
		return ""
	case running && (named || i.sameHost(spans)):
		return TieProcess
	case i.Container != "" && i.Container == spans.Container:
		return TieContainer
	case named && i.Pod != "" && i.Pod == spans.Pod:
		return TiePod
	case named:
		return TieName
	}
	return ""
}

// elsewhere reports whether the two are in different places.
func (i Identity) elsewhere(other Identity) bool {
	return i.otherHost(other) || differ(i.Container, other.Container) || differ(i.Pod, other.Pod)
}

// otherHost reports whether the two are on different hosts, as far as they say.
func (i Identity) otherHost(other Identity) bool {
	if i.HostID != "" && other.HostID != "" {
		// Two ways to write a host's name are common, two ids are not.
		return i.HostID != other.HostID
	}
	// In a container the host's name is the container's.
	return differ(i.HostName, other.HostName) && !i.contained() && !other.contained()
}

// sameHost reports whether both say that they are on the same host.
func (i Identity) sameHost(other Identity) bool {
	return i.HostID != "" && i.HostID == other.HostID || i.HostName != "" && i.HostName == other.HostName
}

func (i Identity) contained() bool { return i.Container != "" || i.Pod != "" }

func differ(a, b string) bool { return a != "" && b != "" && a != b }
