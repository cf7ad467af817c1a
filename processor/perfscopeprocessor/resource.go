package perfscopeprocessor

import (
	"cmp"
	"maps"
	"slices"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/perfscope/perfscope/internal/profile"
	"github.com/perfscope/perfscope/processor/internal/otlpprofile"
	"github.com/perfscope/perfscope/processor/internal/spanmatch"
)

// maxProcesses bounds the processes whose resources are kept per service
// instance; a prefork server beyond it is described by the latest of them.
const maxProcesses = 64

// processes are the resources of a service instance's processes.
type processes struct {
	known []process
	bytes int64 // of their attributes
}

type process struct {
	pid   int64
	attrs pcommon.Map // a copy of our own
	is    profile.Process
	size  int64
	seen  int64 // latest event time
}

// note enters that a process was heard of, and reports whether it is new, or another
// than before. It copies the attributes only when they are new.
func (p *processes) note(pid int64, attrs pcommon.Map, at int64) (news bool) {
	for i := range p.known {
		if k := &p.known[i]; k.pid == pid {
			k.seen = max(k.seen, at)
			if k.attrs.Equal(attrs) {
				return false
			}
			was := k.is
			p.bytes -= k.size
			k.attrs, k.is, k.size = copied(attrs), otlpprofile.ProcessOf(attrs), spanmatch.AttributesSize(attrs)
			p.bytes += k.size
			return k.is != was
		}
	}
	if len(p.known) >= maxProcesses {
		oldest := slices.MinFunc(p.known, func(a, b process) int { return cmp.Or(cmp.Compare(a.seen, b.seen), cmp.Compare(a.pid, b.pid)) })
		p.drop(func(k *process) bool { return k.pid == oldest.pid })
	}
	size := spanmatch.AttributesSize(attrs)
	p.known = append(p.known, process{pid: pid, attrs: copied(attrs), is: otlpprofile.ProcessOf(attrs), size: size, seen: at})
	p.bytes += size
	return true
}

// drop forgets some.
func (p *processes) drop(which func(*process) bool) {
	p.known = slices.DeleteFunc(p.known, func(k process) bool {
		if !which(&k) {
			return false
		}
		p.bytes -= k.size
		return true
	})
}

// forgetBefore drops the processes not heard of since an instant, but for the
// latest.
func (p *processes) forgetBefore(at int64) {
	latest := int64(0)
	for i := range p.known {
		latest = max(latest, p.known[i].seen)
	}
	p.drop(func(k *process) bool { return k.seen < at && k.seen < latest })
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

// runtime is the language runtime of the processes, the first that is known.
func (p *processes) runtime() string {
	for i := range p.known {
		if v, ok := p.known[i].attrs.Get("process.runtime.name"); ok && v.AsString() != "" {
			return v.AsString()
		}
	}
	return ""
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
		for _, text := range spanmatch.Texts(p.known[i].attrs, spanmatch.AttrListening) {
			sockets[text] = struct{}{}
		}
	}
	if len(sockets) == 0 {
		return
	}
	list := dst.PutEmptySlice(spanmatch.AttrListening)
	for _, text := range slices.Sorted(maps.Keys(sockets)) {
		list.AppendEmpty().SetStr(text)
	}
}

func copied(m pcommon.Map) pcommon.Map {
	out := pcommon.NewMap()
	m.CopyTo(out)
	return out
}
