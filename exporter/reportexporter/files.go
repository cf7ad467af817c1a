package reportexporter

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// files are the reports in a directory.
type files struct {
	dir  string
	most int
}

const prefix, suffix = "perfscope-", ".html"

func newFiles(dir string, most int) (*files, error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("directory: reports cannot be written: %w", err)
	}
	return &files{dir, most}, nil
}

// path is where the report of an anomaly or incident is. Its ID may be anybody's.
func (f *files) path(id string) string {
	name := strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r == '-' {
			return r
		}
		return '_'
	}, id)
	return filepath.Join(f.dir, prefix+name[:min(64, len(name))]+suffix)
}

// write puts a report in the place of an older one of the same ID, as a whole, and
// removes the oldest when there are too many.
func (f *files) write(id string, data []byte) (removed int, err error) {
	temporary, err := os.CreateTemp(f.dir, ".perfscope-*.tmp")
	if err != nil {
		return 0, err
	}
	defer func() { _ = os.Remove(temporary.Name()) }() // gone when it was renamed
	if _, err = temporary.Write(data); err == nil {
		err = temporary.Chmod(0o640)
	}
	if e := temporary.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(temporary.Name(), f.path(id))
	}
	if err != nil {
		return 0, err
	}
	return f.prune()
}

// prune removes the oldest reports beyond the most there may be.
func (f *files) prune() (removed int, err error) {
	entries, err := os.ReadDir(f.dir)
	if err != nil {
		return 0, err
	}
	var ours []fs.FileInfo
	for _, e := range entries {
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() && strings.HasPrefix(e.Name(), prefix) && strings.HasSuffix(e.Name(), suffix) {
			ours = append(ours, info)
		}
	}
	slices.SortStableFunc(ours, func(a, b fs.FileInfo) int { return a.ModTime().Compare(b.ModTime()) })
	for _, old := range ours[:max(0, len(ours)-f.most)] {
		if err := os.Remove(filepath.Join(f.dir, old.Name())); err != nil {
			return removed, err
		}
		removed++
	}
	return removed, nil
}
