package process

import (
	"crypto/sha1" //nolint:gosec // RFC 9562 defines version 5 UUIDs by SHA-1; nothing secret is hashed
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"
)

// Process is one target: who it is, and whose it is. A Process is never
// changed after it was handed out.
type Process struct {
	// PID and Created identify the process on its host.
	PID     int32
	Created time.Time
	// Parent is the pid of the parent when the process was found.
	Parent int32
	// Root is the pid of the process that is the service instance: its own,
	// or that of the target it was forked from (nginx's master for a
	// worker, the postmaster for a backend).
	Root int32
	// ServiceName, ServiceNamespace and InstanceID identify the service
	// instance; the namespace is mostly empty.
	ServiceName, ServiceNamespace, InstanceID string
	// Executable is the program's path as the process's mount namespace
	// names it, ExecutableName its base name, or that of the link it was
	// started by (redis-server, which is a link to redis-check-rdb).
	Executable, ExecutableName string
	// Role tells instances of one program apart that do different things: a hash of
	// the command line of Root, of which nothing can be read back.
	Role string
	// Cgroup is a line of /proc/PID/cgroup.
	Cgroup string
	// ContainerID and PodUID are empty outside of a container, of a pod.
	ContainerID, PodUID string
	// Pod is what Kubernetes calls where it runs, if that is known.
	Pod Pod
	// Listening are the TCP sockets it listens on, in its network namespace,
	// in order.
	Listening []netip.AddrPort
	// Rule is the index of the target rule that chose it, or that chose
	// the process it was forked from.
	Rule int
	// Found is when the process was first looked at: it was there then.
	Found time.Time

	ticks, rootTicks uint64
	// claimed is set when the instance id is the process's own word.
	claimed bool
}

// Fork is who a child is that p has just made, at an instant: of the same
// service, until it has been looked at.
func (p *Process) Fork(child int32, at time.Time) *Process {
	q := *p
	q.PID, q.Parent, q.Created, q.Found, q.ticks = child, p.PID, at.UTC(), at, 0
	return &q
}

// IsAnother reports whether q, of the same pid, is known to be another process.
func (p *Process) IsAnother(q *Process) bool {
	return p.ticks != 0 && q.ticks != 0 && p.ticks != q.ticks
}

// Key tells service instances apart: an id is unique within a service.
func (p *Process) Key() string {
	return p.ServiceNamespace + "\x00" + p.ServiceName + "\x00" + p.InstanceID
}

// instanceNamespace is the namespace of instance ids, itself the version 5
// UUID of https://github.com/perfscope/perfscope in the URL namespace.
var instanceNamespace = uuid5([16]byte{
	0x6b, 0xa7, 0xb8, 0x11, 0x9d, 0xad, 0x11, 0xd1, 0x80, 0xb4, 0x00, 0xc0, 0x4f, 0xd4, 0x30, 0xc8,
}, []byte("https://github.com/perfscope/perfscope"))

// instanceID is a version 5 UUID of host, boot, pid and start time in ticks.
// Ticks since boot, and not the creation time, because the kernel's idea of
// the boot time moves with the clock and an instance must keep its id when
// the collector restarts.
func instanceID(host, boot string, pid int32, ticks uint64) string {
	name := make([]byte, 0, 96)
	name = append(name, host...)
	name = append(name, '/')
	name = append(name, boot...)
	name = append(name, '/')
	name = binary.BigEndian.AppendUint32(name, uint32(pid))
	name = binary.BigEndian.AppendUint64(name, ticks)
	id := uuid5(instanceNamespace, name)
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[0:4], id[4:6], id[6:8], id[8:10], id[10:])
}

func uuid5(namespace [16]byte, name []byte) [16]byte {
	sum := sha1.Sum(append(namespace[:], name...)) //nolint:gosec // see the import
	var id [16]byte
	copy(id[:], sum[:])
	id[6] = id[6]&0x0f | 0x50
	id[8] = id[8]&0x3f | 0x80
	return id
}
