package syscallreceiver

import (
	"fmt"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/perfscope/perfscope/internal/cleantext"
	"github.com/perfscope/perfscope/internal/process"
	"github.com/perfscope/perfscope/internal/stack"
)

// fillResource writes who a process is, by OpenTelemetry's conventions. What
// is not known is absent.
func fillResource(attrs pcommon.Map, p *process.Process, host process.Host, arch string, facts stack.Facts) {
	put := func(key, value string) {
		if value != "" {
			attrs.PutStr(key, value)
		}
	}
	put("service.name", p.ServiceName)
	put("service.namespace", p.ServiceNamespace)
	put("service.instance.id", p.InstanceID)
	attrs.PutInt("process.pid", int64(p.PID))
	attrs.PutStr("process.creation.time", p.Created.UTC().Format(time.RFC3339Nano))
	put("process.executable.name", p.ExecutableName)
	put("process.executable.path", p.Executable)
	if facts.BuildIDKind != "" {
		put("process.executable.build_id."+facts.BuildIDKind, cleantext.Clean(facts.BuildID, cleantext.MaxName))
	}
	put("process.runtime.name", facts.Runtime)
	put("process.linux.cgroup", p.Cgroup)
	put("container.id", p.ContainerID)
	put("k8s.pod.uid", p.PodUID)
	put("k8s.pod.name", p.Pod.Name)
	put("k8s.namespace.name", p.Pod.Namespace)
	put("k8s.deployment.name", p.Pod.Deployment)
	put("k8s.container.name", p.Pod.Container)
	put("host.name", host.Name)
	put("host.id", host.ID)
	attrs.PutStr("host.arch", arch)
	putList(attrs, "host.ip", host.Addresses)
	putList(attrs, "perfscope.process.listening", p.Listening)
	put("perfscope.process.role", p.Role)
}

func putList[T fmt.Stringer](attrs pcommon.Map, key string, values []T) {
	if len(values) == 0 {
		return
	}
	list := attrs.PutEmptySlice(key)
	list.EnsureCapacity(len(values))
	for _, v := range values {
		list.AppendEmpty().SetStr(v.String())
	}
}
