// Package store keeps documents and attachments in files.
package store

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Store is a directory of documents.
type Store struct {
	dir    string
	cache  *cache
	blocks [64]sync.RWMutex // by ID: one writer, or readers, for a file
}

// Open makes the directory if need be.
func Open(dir string, cacheBytes int64) (*Store, error) {
	for i := range 16 {
		if err := os.MkdirAll(filepath.Join(dir, fmt.Sprintf("%x", i)), 0o755); err != nil {
			return nil, err
		}
	}
	return &Store{dir: dir, cache: newCache(cacheBytes)}, nil
}

// Cache returns the cache's figures.
func (s *Store) Cache() CacheFigures { return s.cache.figures() }

// Get returns a document, which must not be changed.
func (s *Store) Get(id string) (*Document, error) {
	if d, ok := s.cache.get(id); ok {
		return d, nil
	}
	lock := s.lock(id)
	lock.RLock()
	defer lock.RUnlock()
	d, err := s.load(id)
	if err != nil {
		return nil, err
	}
	s.cache.put(d)
	return d, nil
}

// Put writes a document and sets its revision and time.
func (s *Store) Put(d *Document) error {
	lock := s.lock(d.ID)
	lock.Lock()
	defer lock.Unlock()
	d.Revision = 1
	if old, ok := s.cache.get(d.ID); ok {
		d.Revision = old.Revision + 1
	}
	d.Changed = time.Now().UTC()
	err := s.replace(s.path(d.ID, "doc"), func(w io.Writer) error {
		return json.NewEncoder(w).Encode(d)
	})
	if err != nil {
		return err
	}
	s.cache.put(d)
	return nil
}

// Delete removes a document with its attachment.
func (s *Store) Delete(id string) error {
	lock := s.lock(id)
	lock.Lock()
	defer lock.Unlock()
	s.cache.drop(id)
	err := os.Remove(s.path(id, "doc"))
	if errors.Is(err, fs.ErrNotExist) {
		return ErrNotFound
	}
	if err != nil {
		return err
	}
	if err := os.Remove(s.path(id, "bin")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// PutAttachment writes a document's attachment.
func (s *Store) PutAttachment(id string, content []byte) error {
	lock := s.lock(id)
	lock.Lock()
	defer lock.Unlock()
	return s.replace(s.path(id, "bin"), func(w io.Writer) error {
		_, err := w.Write(content)
		return err
	})
}

// WriteAttachment copies a document's attachment to w. begin is called with
// its size before the first byte.
func (s *Store) WriteAttachment(w io.Writer, id string, begin func(size int64)) error {
	f, err := os.Open(s.path(id, "bin"))
	if errors.Is(err, fs.ErrNotExist) {
		return ErrNotFound
	}
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	begin(unframed(info.Size()))
	_, err = io.Copy(w, newFrameReader(f))
	return err
}

// load reads a document from its file.
func (s *Store) load(id string) (*Document, error) {
	f, err := os.Open(s.path(id, "doc"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	content, err := io.ReadAll(newFrameReader(f))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Name(), err)
	}
	d := new(Document)
	if err := json.Unmarshal(content, d); err != nil {
		return nil, fmt.Errorf("%s: %w", f.Name(), err)
	}
	return d, nil
}

// replace writes a file beside the old one, then takes its place.
func (s *Store) replace(path string, write func(io.Writer) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	buffered := bufio.NewWriterSize(f, 32<<10)
	if err := errors.Join(write(&frameWriter{w: buffered}), buffered.Flush(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

func (s *Store) path(id, kind string) string {
	return filepath.Join(s.dir, fmt.Sprintf("%x", hash(id)%16), id+"."+kind)
}

func (s *Store) lock(id string) *sync.RWMutex { return &s.blocks[hash(id)%uint32(len(s.blocks))] }

func hash(id string) uint32 {
	h := fnv.New32a()
	_, _ = io.WriteString(h, id)
	return h.Sum32()
}
