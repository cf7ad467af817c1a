// Package spanmatch reads from spans and resources what internal/correlate needs
// to tie spans to services, and writes to spans what it found.
package spanmatch

import (
	"net/netip"
	"strconv"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/perfscope/perfscope/internal/cleantext"
	"github.com/perfscope/perfscope/internal/correlate"
)

// maxSockets bounds the sockets and addresses known per service instance; the
// receiver gives fewer per process.
const maxSockets = 1024

// Attributes that say where a service can be called.
const (
	AttrListening = "perfscope.process.listening"
	AttrHostIP    = "host.ip"
)

// Identity reads whose telemetry a resource's is. Names are cut and cleaned as the
// receiver does it: whoever may send spans chooses them, and many are remembered.
func Identity(attrs pcommon.Map) correlate.Identity {
	text := func(key string) string {
		if v, ok := attrs.Get(key); ok {
			return cleantext.Clean(v.AsString(), cleantext.MaxName)
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

// Reach reads from a resource where its service can be called: the sockets it
// listens on, and the addresses of its host.
func Reach(attrs pcommon.Map) (sockets []correlate.Socket, addresses []netip.Addr) {
	for _, text := range Texts(attrs, AttrListening) {
		if s, ok := correlate.ParseSocket(text); ok && len(sockets) < maxSockets {
			sockets = append(sockets, s)
		}
	}
	for _, text := range Texts(attrs, AttrHostIP) {
		if a, err := netip.ParseAddr(text); err == nil && len(addresses) < maxSockets {
			addresses = append(addresses, a.Unmap())
		}
	}
	return sockets, addresses
}

// Texts reads a list of strings, the first maxSockets of it; one that is only a
// string counts as one.
func Texts(attrs pcommon.Map, key string) []string {
	v, ok := attrs.Get(key)
	if !ok {
		return nil
	}
	if v.Type() != pcommon.ValueTypeSlice {
		return []string{v.AsString()}
	}
	out := make([]string, 0, min(v.Slice().Len(), maxSockets))
	for _, e := range v.Slice().All() {
		if len(out) == maxSockets {
			break
		}
		out = append(out, e.AsString())
	}
	return out
}
