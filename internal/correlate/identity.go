// Package correlate ties spans to abnormal stretches of the service they come
// from. It holds what was concluded of each service (the Ledger) and spans
// that came before their conclusion did (the Store), and knows neither the
// Collector nor its data types.
package correlate

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

// Key tells service instances apart: the processes of one instance share it.
func (i Identity) Key() string {
	host := i.HostID
	if host == "" {
		host = i.HostName
	}
	return i.Namespace + "\x00" + i.Name + "\x00" + i.Instance + "\x00" + host
}

// Matches reports whether other, as the resource of a span gives it, can be
// this service. The names must be equal; of what else both sides say, the
// places must not contradict. The instances decide alone when they are equal,
// and nothing when they differ: an SDK makes up one of its own.
func (i Identity) Matches(other Identity) bool {
	if i.Name == "" || i.Name != other.Name || differ(i.Namespace, other.Namespace) {
		return false
	}
	if i.Instance != "" && i.Instance == other.Instance {
		return true
	}
	if i.HostID != "" && other.HostID != "" {
		// Two ways to write a host's name are common, two ids are not.
		if i.HostID != other.HostID {
			return false
		}
	} else if differ(i.HostName, other.HostName) && !i.contained() && !other.contained() {
		// In a container the host's name is the container's.
		return false
	}
	return !differ(i.Container, other.Container) && !differ(i.Pod, other.Pod)
}

func (i Identity) contained() bool { return i.Container != "" || i.Pod != "" }

func differ(a, b string) bool { return a != "" && b != "" && a != b }
