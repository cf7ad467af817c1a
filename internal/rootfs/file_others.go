//go:build !linux

package rootfs

import (
	"errors"
	"io"
)

// Info is what the kernel says of a regular file.
type Info struct {
	Dev, Inode        uint64
	Mtime, Size, Held int64
	UID               uint32
}

// File is an open regular file of a target.
type File struct{ Info }

// NoFollow refuses a link in the last place of the path.
const NoFollow = 0

var errNotLinux = errors.New("other processes can be read on Linux only")

func (d *Door) userOf(int32) uint32 { return 0 }

func currentThread() int32 { return 1 }

func runnable(int32) bool { return false }

// Denied is of Linux only.
func Denied() []string { return nil }

// The methods are as on Linux, and give an error.

func (d *Door) Open(int32, string, int) (*File, error)                  { return nil, errNotLinux }
func (d *Door) OpenMapped(int32, uint64, uint64, string) (*File, error) { return nil, errNotLinux }
func (d *Door) OpenProgram(int32) (*File, error)                        { return nil, errNotLinux }
func (d *Door) OpenHost(int32, string) (*File, error)                   { return nil, errNotLinux }
func (d *Door) Stat(int32, string) (Info, error)                        { return Info{}, errNotLinux }
func (d *Door) StatProgram(int32) (Info, error)                         { return Info{}, errNotLinux }
func (d *Door) ReadMemory(int32, string, int64) ([]byte, error)         { return nil, errNotLinux }
func (d *Door) ReadOnce(int32, string, int) ([]byte, error)             { return nil, errNotLinux }
func (d *Door) ReadCodes(int32, []uint64, int) ([][]byte, error)        { return nil, errNotLinux }
func (d *Door) Read(int32, string, int64) ([]byte, error)               { return nil, errNotLinux }
func (d *Door) ReadLink(int32, string) (string, error)                  { return "", errNotLinux }
func (d *Door) List(int32, string, int) ([]string, error)               { return nil, errNotLinux }
func (d *Door) Stream(int32, string) (io.ReadCloser, error)             { return nil, errNotLinux }
func (f *File) ReadAt([]byte, int64) (int, error)                       { return 0, errNotLinux }

// Look reads nothing.
func Look[T any](*File, func(io.ReaderAt) (T, error)) (none T, err error) { return none, errNotLinux }

func (f *File) Close() error { return nil }

// Range is a piece of a process's memory.
type Range struct {
	Addr uint64
	Size int
}

// ReadRanges reads nothing.
func (d *Door) ReadRanges(int32, []Range) ([][]byte, error) { return nil, errNotLinux }
