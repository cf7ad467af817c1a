package memories

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"go.opentelemetry.io/collector/extension/xextension/storage"
)

const (
	suffix = ".perfscope"
	// maxStored bounds what is read of a file, in bytes.
	maxStored = max(maxIndex, 4<<20)
)

// files is a storage of one file per key. Each is written beside and then renamed, so
// that there is the old one or the new one, whatever ends the collector; and what
// damages one file costs that one only.
type files struct{ directory string }

// Files gives a storage in a directory, which is made if it is not there.
func Files(directory string) (storage.Client, error) {
	if err := os.MkdirAll(directory, 0o750); err != nil {
		return nil, err
	}
	f := files{directory}
	// What was being written when a collector was killed.
	left, err := filepath.Glob(filepath.Join(directory, "*"+suffix+".new"))
	if err != nil {
		return nil, err
	}
	for _, path := range left {
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	return f, nil
}

func (f files) path(key string) string { return filepath.Join(f.directory, key+suffix) }

func (f files) Get(_ context.Context, key string) ([]byte, error) {
	file, err := os.Open(f.path(key))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxStored+1))
	if len(data) > maxStored {
		return nil, fmt.Errorf("%s is larger than %d bytes", file.Name(), maxStored)
	}
	return data, err
}

func (f files) Set(_ context.Context, key string, value []byte) (err error) {
	beside := f.path(key) + ".new"
	file, err := os.OpenFile(beside, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(beside))
		}
	}()
	_, err = file.Write(value)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	return os.Rename(beside, f.path(key))
}

func (f files) Delete(_ context.Context, key string) error {
	if err := os.Remove(f.path(key)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Batch does one after the other, and ends at the first error: who writes the index
// last has what it lists.
func (f files) Batch(ctx context.Context, operations ...*storage.Operation) (err error) {
	for _, o := range operations {
		switch o.Type {
		case storage.Get:
			o.Value, err = f.Get(ctx, o.Key)
		case storage.Set:
			err = f.Set(ctx, o.Key, o.Value)
		case storage.Delete:
			err = f.Delete(ctx, o.Key)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (f files) Close(context.Context) error { return nil }

// keys are those of all files.
func (f files) keys() (list []string) {
	paths, _ := filepath.Glob(f.path("memory.*")) // the pattern is right
	for _, path := range paths {
		list = append(list, strings.TrimSuffix(filepath.Base(path), suffix))
	}
	return list
}

// forgetOthers removes files that an index does not list: it was damaged, or a collector
// was killed between two writes.
func (f files) forgetOthers(ctx context.Context, x *index) error {
	known := map[string]bool{}
	for _, e := range x.list {
		known[e.key()] = true
	}
	for _, key := range f.keys() {
		if !known[key] {
			if err := f.Delete(ctx, key); err != nil {
				return err
			}
		}
	}
	return nil
}
