package machine

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

const (
	// maxDescriptors bounds the descriptors looked at in one pass over the processes of
	// all services, ownersEvery how often (ns) a pass is made because of new sockets.
	maxDescriptors = 8192
	ownersEvery    = int64(4.5e9)
)

// owners knows which service has a socket.
type owners struct {
	at      int64
	service map[uint32]string
}

// look finds the sockets of services anew, if one is not known and it is time.
func (r *Reader) look(now int64, all []socket, services []Service) {
	o := &r.owners
	if now-o.at < ownersEvery {
		return
	}
	known := o.service != nil
	for i := range all {
		if _, ok := o.service[all[i].inode]; !ok {
			known = false
			break
		}
	}
	if known {
		return
	}
	o.at, o.service = now, map[uint32]string{}
	for i := range all {
		o.service[all[i].inode] = "" // somebody else's, until it is found
	}
	left := maxDescriptors
	for i := range services {
		for _, pid := range services[i].Processes {
			left = r.descriptors(pid, left, func(inode uint32) {
				if who, there := o.service[inode]; there && who == "" {
					o.service[inode] = services[i].Key
				}
			})
		}
	}
}

// descriptors calls f with the sockets of a process, and returns how many descriptors
// may still be looked at.
func (r *Reader) descriptors(pid int32, left int, f func(inode uint32)) int {
	at := filepath.Join(r.proc, strconv.Itoa(int(pid)), "fd")
	dir, err := os.Open(at)
	if err != nil || left <= 0 {
		if err == nil {
			_ = dir.Close()
		}
		return left
	}
	names, _ := dir.Readdirnames(left) // what could be read is enough
	_ = dir.Close()
	for _, name := range names {
		// The kernel's own word: it follows no link.
		target, err := os.Readlink(filepath.Join(at, name))
		if err != nil {
			continue
		}
		if text, is := strings.CutPrefix(target, "socket:["); is {
			if inode, err := strconv.ParseUint(strings.TrimSuffix(text, "]"), 10, 32); err == nil {
				f(uint32(inode))
			}
		}
	}
	return left - len(names)
}
