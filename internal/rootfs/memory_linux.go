package rootfs

import (
	"io"

	"golang.org/x/sys/unix"
)

// ProcessMemory reads the memory of the process with that id. A page that a file
// system or the process itself provides may never come: read within Do only.
type ProcessMemory int32

// ReadMemory fills p with what is at addr: all of it, or an error.
func (pid ProcessMemory) ReadMemory(p []byte, addr uint64) error {
	if len(p) == 0 {
		return nil
	}
	local := []unix.Iovec{{Base: &p[0]}}
	local[0].SetLen(len(p))
	n, err := unix.ProcessVMReadv(int(pid), local, []unix.RemoteIovec{{Base: uintptr(addr), Len: len(p)}}, 0)
	if err == nil && n != len(p) {
		err = io.ErrUnexpectedEOF
	}
	return err
}
