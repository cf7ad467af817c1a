// Package fairqueue serves the tasks of many, each in its turn: those of one key
// one after the other and in their order, those of different keys side by side.
// Whoever has many tasks, or slow ones, waits for itself only.
package fairqueue

import (
	"sync"
	"time"
)

// Queue holds tasks until they are served. Make it with New.
type Queue[K comparable, T any] struct {
	perKey, total int
	serve         func(K, T)

	mu     sync.Mutex
	more   sync.Cond // a line is ready, or the queue is closed
	less   sync.Cond // a task is done
	lines  map[K]*line[K, T]
	ready  []*line[K, T] // those with tasks that nobody serves, the longest waiting first
	length int
	closed bool
	served sync.WaitGroup
}

// line holds the tasks of one key; there is none without tasks.
type line[K comparable, T any] struct {
	key   K
	tasks []T
	// busy is set while a worker serves one of its tasks.
	busy bool
	// late is set when Settle did not wait to its end, until it is empty.
	late bool
	done uint64 // tasks served
}

// New makes a queue with at most perKey tasks of a key, and total of all; serve is
// called for each.
func New[K comparable, T any](perKey, total int, serve func(K, T)) *Queue[K, T] {
	q := &Queue[K, T]{perKey: perKey, total: total, serve: serve, lines: map[K]*line[K, T]{}}
	q.more.L, q.less.L = &q.mu, &q.mu
	return q
}

// Start begins to serve with so many goroutines.
func (q *Queue[K, T]) Start(workers int) {
	for range workers {
		q.served.Go(q.work)
	}
}

// Offer puts a task in the line of its key; false is that there is no room, or
// that the queue is closed. It never waits.
func (q *Queue[K, T]) Offer(key K, task T) bool { return q.put(key, task, q.perKey, q.total) }

// Insist is Offer for a task that is small and rare, but must not be lost: it has
// the room of the queue once more.
func (q *Queue[K, T]) Insist(key K, task T) bool { return q.put(key, task, 2*q.total, 2*q.total) }

func (q *Queue[K, T]) put(key K, task T, perKey, total int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	l := q.lines[key]
	switch {
	case q.closed || q.length >= total:
		return false
	case l == nil:
		l = &line[K, T]{key: key}
		q.lines[key] = l
	case len(l.tasks) >= perKey:
		return false
	}
	l.tasks = append(l.tasks, task)
	q.length++
	if len(l.tasks) == 1 && !l.busy {
		q.ready = append(q.ready, l)
		q.more.Signal()
	}
	return true
}

func (q *Queue[K, T]) work() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for {
		for len(q.ready) == 0 {
			if q.closed {
				return
			}
			q.more.Wait()
		}
		l := q.ready[0]
		q.ready[0] = nil
		q.ready = q.ready[1:]
		task := l.tasks[0]
		var none T
		l.tasks[0] = none
		l.tasks = l.tasks[1:]
		l.busy = true
		q.length--
		q.mu.Unlock()
		q.serve(l.key, task)
		q.mu.Lock()
		l.busy = false
		l.done++
		if len(l.tasks) > 0 {
			q.ready = append(q.ready, l)
		} else {
			delete(q.lines, l.key)
		}
		q.less.Broadcast()
	}
}

// Settle waits until what was in the queue when it was called is served, at most
// for as long as patience. Keys that took longer are not waited for again until
// their line has been empty: one of them costs one patience, not one each time.
func (q *Queue[K, T]) Settle(patience time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	// Those added meanwhile are at the end of their lines.
	waited := map[*line[K, T]]uint64{}
	for _, l := range q.lines {
		n := uint64(len(l.tasks))
		if l.busy {
			n++
		}
		if !l.late && n > 0 {
			waited[l] = l.done + n
		}
	}
	if len(waited) == 0 {
		return
	}
	over := false
	timer := time.AfterFunc(patience, func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		over = true
		q.less.Broadcast()
	})
	defer timer.Stop()
	for {
		for l, until := range waited {
			if l.done >= until {
				delete(waited, l)
			}
		}
		if len(waited) == 0 || q.closed {
			return
		}
		if over {
			for l := range waited {
				l.late = true
			}
			return
		}
		q.less.Wait()
	}
}

// Len is the number of tasks that wait.
func (q *Queue[K, T]) Len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.length
}

// Close takes no more tasks and drops those that wait; drop, which may be nil, is
// called for each. Those being served go on; Wait waits for them.
func (q *Queue[K, T]) Close(drop func(K, T)) {
	q.mu.Lock()
	q.closed = true
	lines := q.lines
	q.lines, q.ready, q.length = map[K]*line[K, T]{}, nil, 0
	var dropped []func()
	for _, l := range lines {
		for _, task := range l.tasks {
			if drop != nil {
				dropped = append(dropped, func() { drop(l.key, task) })
			}
		}
		l.tasks = nil
	}
	q.more.Broadcast()
	q.less.Broadcast()
	q.mu.Unlock()
	for _, d := range dropped {
		d()
	}
}

// Wait waits for the goroutines to end, which they do when the queue is closed.
func (q *Queue[K, T]) Wait() { q.served.Wait() }
