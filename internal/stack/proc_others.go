//go:build !linux

package stack

import (
	"errors"
	"io"
	"os"
)

// fileKey identifies a file's content.
type fileKey struct {
	dev, inode  uint64
	mtime, size int64
}

var errNotLinux = errors.New("stacks of other processes can be read on Linux only")

func readMaps(int32) ([]byte, error) { return nil, errNotLinux }

func openMapping(int32, *mapping, string) (*os.File, fileKey, error) {
	return nil, fileKey{}, errNotLinux
}

func allocated(io.ReaderAt) uint64 { return 0 }

func readVDSO() ([]byte, error) { return nil, errNotLinux }

func programName(_ int32, exe string, _ fileKey) string { return exe }

func readCode(int32, uint64) ([6]byte, error) { return [6]byte{}, errNotLinux }

func exePath(int32) string { return "" }

func openPerfMap(int32) (*os.File, int64, error) { return nil, 0, errNotLinux }

func openDebugFile(int32, []string, string) (io.ReaderAt, func()) { return nil, nil }
