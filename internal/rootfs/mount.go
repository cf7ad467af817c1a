package rootfs

import (
	"bytes"
	"strings"
)

const (
	// maxDevices bounds the file systems left alone at one time.
	maxDevices = 256
	// maxMountInfo bounds what is read of a table of mounts (bytes).
	maxMountInfo = 1 << 20
)

// device is a file system: "0:45" of /proc/PID/mountinfo. One that is not
// remote is never left alone: it is the host's own disk, which everybody is on.
type device struct {
	number string
	remote bool
}

// remoteTypes are the file systems whose answers come from another machine or
// another process.
var remoteTypes = []string{"fuse", "nfs", "cifs", "smb", "9p", "ceph", "afs", "lustre", "virtiofs", "ocfs2", "gfs2"}

func isRemote(fsType string) bool {
	for _, prefix := range remoteTypes {
		if strings.HasPrefix(fsType, prefix) {
			return true
		}
	}
	return false
}

// deviceAt finds the file system that holds a path of a process, or, with a
// number, that file system, in its table of mounts.
func deviceAt(mountinfo []byte, path, number string) device {
	var found device
	longest := -1
	for line := range bytes.Lines(mountinfo) {
		// ID PARENT MAJOR:MINOR ROOT POINT OPTIONS [TAG...] - TYPE SOURCE ...
		front, back, ok := strings.Cut(string(line), " - ")
		fields := strings.Fields(front)
		if !ok || len(fields) < 5 {
			continue
		}
		fsType, _, _ := strings.Cut(back, " ")
		d := device{number: fields[2], remote: isRemote(fsType)}
		if number != "" {
			if d.number == number {
				return d
			}
			continue
		}
		point := strings.TrimSuffix(fields[4], "/")
		if len(point) >= longest && (path == point || strings.HasPrefix(path, point+"/")) {
			found, longest = d, len(point) // a later mount covers an earlier one
		}
	}
	return found
}
