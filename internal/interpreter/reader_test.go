package interpreter

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perfscope/perfscope/internal/rootfs"
)

// fakeLanguage is an interpreter that reads as much as it is told to.
type fakeLanguage struct {
	reads int
	seen  []Call
	err   error
	looks atomic.Int64
	held  int64
}

func (f *fakeLanguage) bytes() int64 { return f.held }

func (f *fakeLanguage) calls(l *look, _ Thread) ([]Call, error) {
	f.looks.Add(1)
	for range f.reads {
		if err := l.read(make([]byte, 8), 1<<20); err != nil {
			return nil, err
		}
	}
	return f.seen, f.err
}

// fakeReader reads one process, at a time that the test sets.
func fakeReader(f *fakeLanguage, now *time.Time) *Reader {
	r := NewReader(&rootfs.Door{Proc: "/nowhere"}, func(int32) (Program, error) { return Program{}, nil })
	r.now = func() time.Time { return *now }
	r.memory = func(int32) Memory { return &image{bytes: make([]byte, 16)} }
	r.languages = func(*Program, *look) (language, error) {
		return f, nil
	}
	return r
}

func TestLooksInVainAreNotRepeatedForEver(t *testing.T) {
	now := time.Unix(1700000000, 0)
	f := &fakeLanguage{err: ErrMalformed}
	r := fakeReader(f, &now)
	for range 100 {
		_, err := r.Look(7, 7, Seen{})
		require.Error(t, err)
	}
	assert.EqualValues(t, maxFailures+1, f.looks.Load())
	now = now.Add(firstRest)
	_, err := r.Look(7, 7, Seen{})
	require.ErrorIs(t, err, ErrMalformed, "it is tried again")
	_, err = r.Look(8, 8, Seen{})
	require.ErrorIs(t, err, ErrMalformed, "another process is none of its business")
}

func TestReadsOfOneProcessAreBounded(t *testing.T) {
	now := time.Unix(1700000000, 0)
	f := &fakeLanguage{reads: maxReads, err: ErrNoThread}
	r := fakeReader(f, &now)
	var err error
	for range 1000 {
		_, err = r.Look(7, 7, Seen{})
	}
	require.ErrorIs(t, err, ErrOverBudget)
	assert.LessOrEqual(t, int(f.looks.Load())*maxReads, readsAtOnce)
	now = now.Add(time.Second)
	_, err = r.Look(7, 7, Seen{})
	require.ErrorIs(t, err, ErrNoThread)
}

func TestOneLookIsBounded(t *testing.T) {
	now := time.Unix(1700000000, 0)
	_, err := fakeReader(&fakeLanguage{reads: maxReads + 1}, &now).Look(7, 7, Seen{})
	require.ErrorIs(t, err, ErrTooMuch)
}

func TestThreadThatCannotBeCheckedHasMoved(t *testing.T) {
	now := time.Unix(1700000000, 0)
	_, err := fakeReader(&fakeLanguage{seen: []Call{{Frames: framesOf("f")}}}, &now).Look(7, 7, Seen{})
	require.ErrorIs(t, err, ErrMoved)
}

func TestMemoryHeldOfAllProcessesIsBounded(t *testing.T) {
	now := time.Unix(1700000000, 0)
	r := fakeReader(&fakeLanguage{err: ErrNoThread, held: maxBytesOfOne}, &now)
	for pid := range int32(100) {
		_, err := r.Look(pid, pid, Seen{})
		require.ErrorIs(t, err, ErrNoThread)
		require.LessOrEqual(t, r.Bytes(), int64(maxBytesHeld))
	}
	assert.Len(t, r.processes, maxBytesHeld/maxBytesOfOne)
	for pid := range int32(100) {
		r.Forget(pid)
	}
	assert.Zero(t, r.Bytes())
}

// hanging is memory that never comes, as of a file system that does not answer.
type hanging struct{ release chan struct{} }

func (m hanging) ReadMemory([]byte, uint64) error {
	<-m.release
	return errors.New("too late")
}

func TestProcessThatHangsALookHoldsUpNobodyElse(t *testing.T) {
	now := time.Unix(1700000000, 0)
	r := fakeReader(&fakeLanguage{reads: 1, err: ErrNoThread}, &now)
	r.door.Timeout = 10 * time.Millisecond
	m := hanging{make(chan struct{})}
	defer close(m.release)
	r.memory = func(pid int32) Memory {
		if pid == 7 {
			return m
		}
		return &image{bytes: make([]byte, 16)}
	}
	_, err := r.Look(7, 7, Seen{})
	require.ErrorIs(t, err, rootfs.ErrStuck)
	_, err = r.Look(7, 8, Seen{})
	require.ErrorIs(t, err, rootfs.ErrQuarantined)
	_, err = r.Look(8, 8, Seen{})
	require.ErrorIs(t, err, ErrNoThread)
}

func TestMemoryBeyondUserSpaceIsNotRead(t *testing.T) {
	l := &look{mem: &image{bytes: []byte{1}}}
	for _, addr := range []uint64{0, 8, highest, highest - 4, 1 << 63, ^uint64(0)} {
		_, err := l.word(addr)
		require.ErrorIs(t, err, ErrMalformed, "%#x", addr)
		_, err = l.near(addr, 16)
		require.Error(t, err, "%#x", addr)
	}
	assert.Zero(t, l.reads)
}

func TestWindowEndsWhereMemoryDoes(t *testing.T) {
	mem := partial{from: 1 << 20, to: 1<<20 + 4096}
	l := &look{mem: mem}
	b, err := l.near(1<<20+8, 16) // the window would begin before
	require.NoError(t, err)
	assert.Len(t, b, 16)
	_, err = l.near(1<<20-8, 16)
	require.ErrorIs(t, err, ErrUnreadable)
}

// partial is memory that ends.
type partial struct{ from, to uint64 }

func (m partial) ReadMemory(p []byte, addr uint64) error {
	if addr < m.from || addr+uint64(len(p)) > m.to {
		return errors.New("not mapped")
	}
	return nil
}
