//go:build !linux

package rootfs

// ProcessMemory reads the memory of the process with that id.
type ProcessMemory int32

// ReadMemory says that this is not Linux.
func (ProcessMemory) ReadMemory([]byte, uint64) error { return errNotLinux }
