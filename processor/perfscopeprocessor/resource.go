package perfscopeprocessor

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"strconv"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/perfscope/perfscope/internal/correlate"
)

// identityOf reads whose telemetry a resource's is.
func identityOf(attrs pcommon.Map) correlate.Identity {
	text := func(key string) string {
		if v, ok := attrs.Get(key); ok {
			return v.AsString()
		}
		return ""
	}
	id := correlate.Identity{
		Name:      text("service.name"),
		Namespace: text("service.namespace"),
		Instance:  text("service.instance.id"),
		HostID:    text("host.id"),
		HostName:  text("host.name"),
		Container: text("container.id"),
		Pod:       text("k8s.pod.uid"),
	}
	if v, ok := attrs.Get("process.pid"); ok {
		// Some exporters turn every attribute into a string.
		id.PID, _ = strconv.ParseInt(v.AsString(), 10, 64)
	}
	return id
}

// maxProcesses bounds the processes whose resources are kept per service
// instance; a prefork server beyond it is described by the latest of them.
const maxProcesses = 64

// maxSockets bounds the sockets and addresses known per service instance; the
// receiver gives fewer per process.
const maxSockets = 1024

// Attributes that say where a service can be called.
const (
	attrListening = "perfscope.process.listening"
	attrHostIP    = "host.ip"
)

// processes are the resources of a service instance's processes.
type processes struct {
	known []process
}

type process struct {
	pid   int64
	attrs pcommon.Map // a copy of our own
	seen  int64       // latest event time
}

// note enters that a process was heard of. It copies the attributes only when
// they are new.
func (p *processes) note(pid int64, attrs pcommon.Map, at int64) {
	for i := range p.known {
		if k := &p.known[i]; k.pid == pid {
			k.seen = max(k.seen, at)
			if !k.attrs.Equal(attrs) {
				k.attrs = copied(attrs)
			}
			return
		}
	}
	if len(p.known) >= maxProcesses {
		oldest := slices.MinFunc(p.known, func(a, b process) int { return cmp.Or(cmp.Compare(a.seen, b.seen), cmp.Compare(a.pid, b.pid)) })
		p.known = slices.DeleteFunc(p.known, func(k process) bool { return k.pid == oldest.pid })
	}
	p.known = append(p.known, process{pid: pid, attrs: copied(attrs), seen: at})
}

// forgetBefore drops the processes not heard of since an instant, but for the
// latest.
func (p *processes) forgetBefore(at int64) {
	latest := int64(0)
	for i := range p.known {
		latest = max(latest, p.known[i].seen)
	}
	p.known = slices.DeleteFunc(p.known, func(k process) bool { return k.seen < at && k.seen < latest })
}

// common writes what the resources of all processes agree on, which is the
// resource of the service instance, and where any of them listens: a server
// that forks need not listen in all of its processes.
func (p *processes) common(dst pcommon.Map) {
	if len(p.known) == 0 {
		return
	}
	defer p.listening(dst)
	p.known[0].attrs.CopyTo(dst)
	for _, k := range p.known[1:] {
		dst.RemoveIf(func(key string, v pcommon.Value) bool {
			other, ok := k.attrs.Get(key)
			return !ok || !v.Equal(other)
		})
	}
}

func (p *processes) pids() map[int64]struct{} {
	pids := make(map[int64]struct{}, len(p.known))
	for i := range p.known {
		if p.known[i].pid != 0 {
			pids[p.known[i].pid] = struct{}{}
		}
	}
	return pids
}

// listening writes where the processes listen.
func (p *processes) listening(dst pcommon.Map) {
	sockets := map[string]struct{}{}
	for i := range p.known {
		for _, text := range textsOf(p.known[i].attrs, attrListening) {
			sockets[text] = struct{}{}
		}
	}
	if len(sockets) == 0 {
		return
	}
	list := dst.PutEmptySlice(attrListening)
	for _, text := range slices.Sorted(maps.Keys(sockets)) {
		list.AppendEmpty().SetStr(text)
	}
}

// reach reads from a resource where its service can be called: the sockets it
// listens on, and the addresses of its host.
func reach(attrs pcommon.Map) (sockets []correlate.Socket, addresses []netip.Addr) {
	for _, text := range textsOf(attrs, attrListening) {
		if s, ok := correlate.ParseSocket(text); ok && len(sockets) < maxSockets {
			sockets = append(sockets, s)
		}
	}
	for _, text := range textsOf(attrs, attrHostIP) {
		if a, err := netip.ParseAddr(text); err == nil && len(addresses) < maxSockets {
			addresses = append(addresses, a.Unmap())
		}
	}
	return sockets, addresses
}

// textsOf reads a list of strings; one that is only a string counts as one.
func textsOf(attrs pcommon.Map, key string) []string {
	v, ok := attrs.Get(key)
	if !ok {
		return nil
	}
	if v.Type() != pcommon.ValueTypeSlice {
		return []string{v.AsString()}
	}
	out := make([]string, v.Slice().Len())
	for i, e := range v.Slice().All() {
		out[i] = e.AsString()
	}
	return out
}

func copied(m pcommon.Map) pcommon.Map {
	out := pcommon.NewMap()
	m.CopyTo(out)
	return out
}
