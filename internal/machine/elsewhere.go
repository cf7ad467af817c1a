package machine

import (
	"os"
	"path/filepath"
	"strconv"
)

// Elsewhere has the sockets of processes taken that are in other network namespaces than
// this one, until take returns false: each with a process that has it, its namespace (the
// inode), its protocol (IPPROTO_UDP or one of TCP) and what sock_diag would tell of it there, a struct
// inet_diag_msg and its attributes, valid during the call. sock_diag itself answers for
// the namespace of who asks.
type Elsewhere func(take func(process int32, namespace, protocol uint32, message []byte) (more bool)) error

// See has the reader look into other network namespaces, too, when a service is in one.
func (r *Reader) See(elsewhere Elsewhere) { r.elsewhere = elsewhere }

// abroad are the sockets of the processes of services in other network namespaces.
func (r *Reader) abroad(of map[int32]int) (all []socket) {
	if r.elsewhere == nil || !r.anyAbroad(of) {
		return nil
	}
	seen := map[uint32]bool{} // several processes may share one
	// What could be read is enough.
	_ = r.elsewhere(func(process int32, namespace, protocol uint32, message []byte) bool {
		s, ok := parseSocket(message, protocol == protocolUDP)
		if _, known := of[process]; ok && known && !seen[s.inode] {
			s.process, s.namespace = process, namespace
			seen[s.inode] = true
			all = append(all, s)
		}
		return len(all) < maxSockets
	})
	return all
}

const protocolUDP = 17

// anyAbroad reports whether some process is in another network namespace.
func (r *Reader) anyAbroad(processes map[int32]int) bool {
	namespace := func(process string) string {
		// The kernel's own word: it follows no link.
		name, _ := os.Readlink(filepath.Join(r.proc, process, "ns", "net"))
		return name
	}
	own := namespace("self")
	for pid := range processes {
		if its := namespace(strconv.Itoa(int(pid))); its != "" && its != own {
			return true
		}
	}
	return false
}
