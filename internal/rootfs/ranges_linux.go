package rootfs

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

const (
	// MaxRanges and MaxRangeBytes bound what ReadRanges reads at once.
	MaxRanges     = 4096
	MaxRangeBytes = 1 << 20
	// vectors is what process_vm_readv takes in one call (UIO_MAXIOV).
	vectors = 1024
	// maxFaults bounds the pieces that are not there: each costs a call.
	maxFaults = 64
)

// Range is a piece of a process's memory.
type Range struct {
	Addr uint64
	Size int
}

// ReadRanges reads pieces of a process's memory, a thousand in one system call;
// a piece that is not all there is nil. The pieces share one buffer.
func (d *Door) ReadRanges(pid int32, ranges []Range) ([][]byte, error) {
	total := 0
	for _, r := range ranges {
		if r.Size < 0 || r.Size > MaxRangeBytes {
			return nil, fmt.Errorf("%d bytes in one piece, at most %d", r.Size, MaxRangeBytes)
		}
		total += r.Size
	}
	if len(ranges) > MaxRanges || total > MaxRangeBytes {
		return nil, fmt.Errorf("%d bytes in %d pieces, at most %d in %d", total, len(ranges), MaxRangeBytes, MaxRanges)
	}
	return Do(d, pid, func() ([][]byte, error) { return readRanges(pid, ranges, make([]byte, total)) })
}

func readRanges(pid int32, ranges []Range, buf []byte) ([][]byte, error) {
	out := make([][]byte, len(ranges))
	faults := 0
	for from := 0; from < len(ranges); {
		part := ranges[from:min(len(ranges), from+vectors)]
		remote := make([]unix.RemoteIovec, len(part))
		size := 0
		for i, r := range part {
			remote[i] = unix.RemoteIovec{Base: uintptr(r.Addr), Len: r.Size}
			size += r.Size
		}
		n := 0
		if size > 0 {
			local := []unix.Iovec{{Base: &buf[0]}}
			local[0].SetLen(size)
			var err error
			if n, err = unix.ProcessVMReadv(int(pid), local, remote, 0); err != nil && !errors.Is(err, unix.EFAULT) {
				return nil, err
			}
			n = max(n, 0)
		}
		// What was read ends at the first piece that is not there.
		done := 0
		for _, r := range part {
			if r.Size > n {
				break
			}
			out[from+done], buf = buf[:r.Size:r.Size], buf[r.Size:]
			n -= r.Size
			done++
		}
		from += done
		if done == len(part) {
			continue
		}
		from++
		if faults++; faults > maxFaults {
			break
		}
	}
	return out, nil
}
