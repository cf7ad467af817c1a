package memories

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/perfscope/perfscope/pkg/inference"
)

// Stored is a memory in a directory.
type Stored struct {
	Of
	// Kept is when it was written last, in seconds since the Unix epoch.
	Kept int64
	path string
}

// List lists the memories in a directory of memory::directory, those written last at the
// end. Nothing in it is changed: a collector may write there.
func List(directory string) (list []Stored, err error) {
	for _, name := range names {
		folder := files{filepath.Join(directory, name)}
		data, err := os.ReadFile(folder.path(indexKey))
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		x, err := readIndex(data)
		if err != nil {
			return nil, err
		}
		for _, e := range x.list {
			list = append(list, Stored{e.Of, e.Kept, folder.path(e.key())})
		}
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%s has no memory of a service", directory)
	}
	return list, nil
}

// Read reads a memory.
func (s *Stored) Read() (*inference.Memory, error) { return ReadFile(s.path) }

// ReadFile reads a memory from its file.
func ReadFile(path string) (*inference.Memory, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > inference.MaxMemory {
		return nil, fmt.Errorf("%s: %w", path, inference.ErrNotMemory)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	m, err := inference.DecodeMemory(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return m, nil
}
