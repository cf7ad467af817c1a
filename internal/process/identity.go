package process

import (
	"crypto/sha1" //nolint:gosec // RFC 9562 defines version 5 UUIDs by SHA-1; nothing secret is hashed
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
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
	// Cgroup is a line of /proc/PID/cgroup.
	Cgroup string
	// ContainerID and PodUID are empty outside of a container, of a pod.
	ContainerID, PodUID string
	// Listening are the TCP sockets it listens on, in its network namespace,
	// in order.
	Listening []netip.AddrPort
	// Rule is the index of the target rule that chose it, or that chose
	// the process it was forked from.
	Rule int

	ticks uint64
}

// Host identifies the machine.
type Host struct {
	// ID is the host's machine id without dashes, empty when it has none.
	ID string
	// Name is the host's name.
	Name string
	// Addresses are its IP addresses, but for those of the loopback
	// interface; maxAddresses at most.
	Addresses []netip.Addr
}

// maxAddresses bounds the addresses told of a host: one with hundreds of
// container bridges would repeat them in every record.
const maxAddresses = 64

var machineID = regexp.MustCompile(`^[0-9a-f]{32}$`)

// ReadHost reads the machine id from the first of the paths that holds one
// (by default /etc/machine-id and /var/lib/dbus/machine-id).
func ReadHost(paths ...string) Host {
	if len(paths) == 0 {
		paths = []string{"/etc/machine-id", "/var/lib/dbus/machine-id"}
	}
	var host Host
	for _, path := range paths {
		data, err := readBounded(path, 64)
		if err != nil {
			continue
		}
		if id := strings.TrimSpace(string(data)); machineID.MatchString(id) {
			host.ID = id
			break
		}
	}
	// An unreadable host name is an absent attribute, not an error.
	host.Name, _ = os.Hostname()
	host.Addresses = readAddresses()
	return host
}

// readAddresses are the addresses others can reach this host by; link-local
// ones mean nothing without their interface.
func readAddresses() []netip.Addr {
	list, err := net.InterfaceAddrs()
	if err != nil {
		return nil // an absent attribute, too
	}
	var out []netip.Addr
	for _, a := range list {
		prefix, err := netip.ParsePrefix(a.String())
		if ip := prefix.Addr(); err == nil && !ip.IsLoopback() && !ip.IsLinkLocalUnicast() && len(out) < maxAddresses {
			out = append(out, ip)
		}
	}
	return out
}

// readBootID names this boot of the host: start times in ticks are unique
// within one boot only.
func readBootID(root string) string {
	data, err := readBounded(filepath.Join(root, "sys/kernel/random/boot_id"), 64)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
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
