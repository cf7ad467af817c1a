package memories

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"syscall"
	"time"

	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.uber.org/zap"

	"github.com/perfscope/perfscope/pkg/inference"
)

const (
	// patience bounds a look into the storage, or a write.
	patience = 5 * time.Second
	// complainEvery is how often it is said that nothing can be written.
	complainEvery = time.Minute
)

// Result is what became of a memory.
type Result string

// The results.
const (
	Written   Result = "written"
	Recalled  Result = "recalled"
	Inherited Result = "inherited" // from another build
	Damaged   Result = "damaged"
	Failed    Result = "failed"
	Forgotten Result = "forgotten"
)

// Store keeps memories. Writes are done by a goroutine of its own, so that the
// analysis does not wait for a disk. It is safe for concurrent use.
type Store struct {
	log   *zap.Logger
	count func(Result)
	most  int64

	// flushing is held while what waits is written.
	flushing sync.Mutex

	mu         sync.Mutex
	client     storage.Client
	persistent bool
	index      index
	waiting    map[Of]*inference.Memory
	writing    map[Of]*inference.Memory
	complained time.Time
	closed     bool

	wake chan struct{}
	quit chan struct{}
	done chan struct{}
}

// New returns a store that keeps memories of at most so many bytes; count, which may
// be nil, is told what becomes of each. Close it.
func New(log *zap.Logger, most int64, count func(Result)) *Store {
	if count == nil {
		count = func(Result) {}
	}
	s := &Store{
		log: log, count: count, most: most, client: held{}, waiting: map[Of]*inference.Memory{},
		wake: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{}),
	}
	go s.run()
	return s
}

// names are what a storage is opened under, one after the other: one that is damaged as
// a whole is left aside.
var names = []string{"memory", "memory-2", "memory-3"}

// Use has the memories kept by a storage extension from now on; open gives the client of
// a name. A storage that cannot be used is a line in the log, and another one is begun.
// Only the first call counts.
func (s *Store) Use(ctx context.Context, open func(ctx context.Context, name string) (storage.Client, error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.persistent {
		return
	}
	var err error
	for _, name := range names {
		err = s.try(ctx, open, name)
		if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
			break // another name is no better
		}
		if err == nil {
			s.persistent = true
			s.log.Info("What was known of services is there.", zap.Int("services_and_builds", len(s.index.list)), zap.Int64("bytes", s.bytes()))
			return
		}
		s.count(Damaged)
		s.log.Warn("The storage of what is known of the services cannot be used. It is left aside, and all is learned anew; remove it when it is not needed.",
			zap.String("storage", name), zap.Error(err))
	}
	s.client, s.index = held{}, index{}
	s.log.Error("No storage can be used: what is known of the services lasts as long as the collector.", zap.Error(err))
}

// try opens a storage, reads all of it once, and writes.
func (s *Store) try(ctx context.Context, open func(context.Context, string) (storage.Client, error), name string) (err error) {
	var client storage.Client
	defer func() {
		if err != nil && client != nil {
			_ = guarded(func() error { return client.Close(ctx) })
		}
	}()
	if err := guarded(func() (err error) { client, err = open(ctx, name); return err }); err != nil {
		return err
	}
	if f, ok := client.(files); ok {
		defer func() {
			if err == nil {
				err = f.forgetOthers(ctx, &s.index)
			}
		}()
	}
	client = careful{client}
	data, err := client.Get(ctx, indexKey)
	if err != nil {
		return err
	}
	x, err := readIndex(data)
	if err != nil {
		// The memories are lost without it, and the file is as good as any.
		s.count(Damaged)
		s.log.Warn("What was known of the services cannot be found; they are learned anew.", zap.Error(err))
	}
	for _, e := range x.list {
		if _, err := client.Get(ctx, e.key()); err != nil {
			return err
		}
	}
	text, err := x.write()
	if err != nil {
		return err
	}
	// A full disk is said when something is to be kept.
	if err := client.Set(ctx, indexKey, text); errors.Is(err, errDefect) {
		return err
	}
	s.client, s.index = client, x
	return nil
}

func (s *Store) bytes() (sum int64) {
	for _, e := range s.index.list {
		sum += e.Bytes
	}
	return sum
}

// Recall is the memory of a service, build and role, else the newest of its role with
// another build, else of its build in another role, else of the service, which it then
// says; nil when there is none.
func (s *Store) Recall(of Of) (m *inference.Memory, from Of) {
	s.mu.Lock()
	defer s.mu.Unlock()
	// A memory that was damaged is dropped, and the next one tried.
	for range maxEntries {
		from = of
		if !s.has(of) {
			var known bool
			if from, known = s.nearest(of); !known {
				return nil, Of{}
			}
		}
		m, err := s.read(from)
		if err == nil {
			s.count(map[bool]Result{true: Recalled, false: Inherited}[from == of])
			return m, from
		}
		s.count(Damaged)
		s.log.Warn("What was known of a service cannot be used; it is learned anew.", zap.String("service.name", from.Name), zap.Error(err))
		s.forget(from)
	}
	return nil, Of{}
}

func (s *Store) has(of Of) bool {
	return s.waiting[of] != nil || s.writing[of] != nil || s.index.has(of)
}

func (s *Store) nearest(of Of) (best Of, found bool) {
	until := int64(-1)
	for _, list := range []map[Of]*inference.Memory{s.waiting, s.writing} {
		for other, m := range list {
			near, nearest := of.nearness(other), of.nearness(best)
			if other.Service() == of.Service() && (!found || near > nearest || near == nearest && m.Until() > until) {
				best, until, found = other, m.Until(), true
			}
		}
	}
	// What waits is newer than what is stored.
	if stored, ok := s.index.nearest(of); ok && (!found || of.nearness(stored) > of.nearness(best)) {
		return stored, true
	}
	return best, found
}

func (s *Store) read(of Of) (*inference.Memory, error) {
	for _, list := range []map[Of]*inference.Memory{s.waiting, s.writing} {
		if m := list[of]; m != nil {
			return m, nil
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	data, err := s.client.Get(ctx, of.key())
	if err != nil {
		return nil, err
	}
	if data == nil {
		return nil, errors.New("it is in the index, and not there")
	}
	return inference.DecodeMemory(data)
}

// Keep has a memory written soon; one that waits still is replaced.
func (s *Store) Keep(of Of, m *inference.Memory) {
	s.mu.Lock()
	if !s.closed && (s.waiting[of] != nil || len(s.waiting) < maxEntries) {
		s.waiting[of] = m
	}
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Close writes what waits and gives the storage back.
func (s *Store) Close(ctx context.Context) error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.mu.Unlock()
	close(s.quit)
	<-s.done
	s.flush()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.client.Close(ctx)
}

func (s *Store) run() {
	defer close(s.done)
	for {
		select {
		case <-s.wake:
			s.flush()
		case <-s.quit:
			return
		}
	}
}

// flush writes all that waits, encoded outside of the lock.
func (s *Store) flush() {
	s.flushing.Lock()
	defer s.flushing.Unlock()
	s.mu.Lock()
	s.writing, s.waiting = s.waiting, map[Of]*inference.Memory{}
	list := s.writing
	s.mu.Unlock()
	for of, m := range list {
		data, err := m.Encode()
		s.mu.Lock()
		if err == nil {
			err = s.write(of, data)
		}
		s.wrote(of, err)
		s.mu.Unlock()
	}
	s.mu.Lock()
	s.writing = nil
	s.mu.Unlock()
}

// write puts a memory into the storage, with the index in one transaction, and drops
// those for which there is no room any more.
func (s *Store) write(of Of, data []byte) error {
	was := s.index
	next := index{append([]entry(nil), was.list...)}
	next.put(entry{Of: of, Bytes: int64(len(data)), Kept: time.Now().Unix()})
	gone := next.over(s.most)
	operations := []*storage.Operation{storage.SetOperation(of.key(), data)}
	for _, old := range gone {
		next.drop(old)
		operations = append(operations, storage.DeleteOperation(old.key()))
	}
	if !next.has(of) {
		return fmt.Errorf("it takes %d bytes, all memories together may have %d", len(data), s.most)
	}
	text, err := next.write()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.client.Batch(ctx, append(operations, storage.SetOperation(indexKey, text))...); err != nil {
		return err
	}
	s.index = next
	for range gone {
		s.count(Forgotten)
	}
	return nil
}

func (s *Store) wrote(of Of, err error) {
	if err == nil {
		s.count(Written)
		return
	}
	s.count(Failed)
	if now := time.Now(); now.Sub(s.complained) >= complainEvery {
		s.complained = now
		s.log.Error("What is known of a service could not be stored; after a restart it is what was stored before. Further failures are counted in processor_perfscope_memories.",
			zap.String("service.name", of.Name), zap.Error(err))
	}
}

// forget drops a memory that cannot be read.
func (s *Store) forget(of Of) {
	delete(s.waiting, of)
	s.index.drop(of)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	text, err := s.index.write()
	if err == nil {
		err = s.client.Batch(ctx, storage.DeleteOperation(of.key()), storage.SetOperation(indexKey, text))
	}
	if err != nil {
		s.wrote(of, err)
	}
}
