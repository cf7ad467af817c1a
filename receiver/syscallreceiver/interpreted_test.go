package syscallreceiver

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perfscope/perfscope/internal/interpreter"
	"github.com/perfscope/perfscope/internal/rootfs"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// fakeInterpreters sees the same functions everywhere.
type fakeInterpreters struct {
	mu        sync.Mutex
	calls     []interpreter.Call
	err       error
	seen      []interpreter.Seen
	forgotten []int32
}

func (f *fakeInterpreters) Look(_, _ int32, seen interpreter.Seen) ([]interpreter.Call, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seen = append(f.seen, seen)
	return f.calls, f.err
}

func (f *fakeInterpreters) Forget(pid int32) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.forgotten = append(f.forgotten, pid)
}

func pythonCall(names ...string) interpreter.Call {
	var c interpreter.Call
	for _, name := range names {
		c.Frames = append(c.Frames, threadtrace.Frame{Function: name, Module: "app.py"})
	}
	return c
}

func TestLookAtWhatAStackHides(t *testing.T) {
	native := threadtrace.Stack{Frames: []threadtrace.Frame{{Function: "recv"}, {Function: "_PyEval_EvalFrameDefault"}, {Function: "main"}}}
	for _, tt := range []struct {
		name   string
		raw    rawStack
		native threadtrace.Stack
		err    error
		want   string
		source frameSource
		looks  int
	}{
		{"of a thread that waits", rawStack{Blocked: true}, native, nil, "recv fetch main", framesLooked, 1},
		{"of one that was running a moment ago", rawStack{Sampled: true, Time: time.Now().Add(time.Hour).UnixNano()}, native, nil, "recv fetch main", framesLooked, 1},
		{"of one that was running long ago", rawStack{Sampled: true, Time: 1}, native, nil, "recv _PyEval_EvalFrameDefault main", framesHidden, 0},
		{"of a call", rawStack{}, native, nil, "recv _PyEval_EvalFrameDefault main", framesHidden, 0},
		{"that went on", rawStack{Blocked: true}, native, interpreter.ErrMoved, "recv _PyEval_EvalFrameDefault main", framesHidden, 1},
		{"of another program", rawStack{Blocked: true}, threadtrace.Stack{Frames: native.Frames[:1]}, nil, "recv", framesNative, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := &fakeInterpreters{err: tt.err}
			if tt.err == nil {
				f.calls = []interpreter.Call{pythonCall("fetch")}
			}
			s, kernel := newSymbols(&fakeUnwinder{}, f, nopStats(t), nil), newFakeTracer()
			s.atOnce = kernel.DeliverAtOnce
			s.start()
			got := make(chan namedStack, 1)
			job := &task{target: newTarget(7, 0), raw: tt.raw, native: tt.native, named: func(_ rawStack, n namedStack) { got <- n }}
			s.unwound(7, job)
			named := <-got
			s.stop()
			s.wait()
			assert.Equal(t, tt.want, framesOf(named.Stack))
			assert.Equal(t, tt.source, named.frames)
			require.Len(t, f.seen, tt.looks)
			// Further samples of a program that an interpreter runs are wanted at once.
			want := []int32{7}
			if tt.source == framesNative {
				want = nil
			}
			assert.Equal(t, want, kernel.atOnce)
			if tt.looks > 0 {
				assert.Equal(t, tt.raw.Sampled, f.seen[0].Running)
			}
		})
	}
}

func TestCPUTimeIsGivenToTheSamplesThatWereLookedAt(t *testing.T) {
	const period = int64(10e6)
	source := map[uint32]frameSource{1: framesHidden, 2: framesLooked, 3: framesNative}
	var named namedStacks
	for id, from := range source {
		named.put(id, namedStack{threadtrace.Stack{Frames: []threadtrace.Frame{{Function: fmt.Sprint(id)}}}, from})
	}
	sample := func(ids ...uint32) (out []threadtrace.Event) {
		for i, id := range ids {
			out = append(out, threadtrace.Event{Kind: threadtrace.KindSample, Time: int64(i), Duration: period, Stack: id})
		}
		return out
	}
	for _, tt := range []struct {
		name   string
		events []threadtrace.Event
		want   map[uint32]int64
		left   int
	}{
		{"some were", sample(1, 1, 2, 1, 3, 2, 1, 0), map[uint32]int64{2: 6 * period, 3: period, 0: period}, 4},
		{"none was", sample(1, 1, 3), map[uint32]int64{1: 2 * period, 3: period}, 3},
		{"all were", sample(2, 2), map[uint32]int64{2: 2 * period}, 2},
		{"waits are not touched", append(sample(1, 2), threadtrace.Event{Kind: threadtrace.KindBlocked, Duration: period, Stack: 1}), map[uint32]int64{2: 2 * period, 1: period}, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			th := &threadLoad{events: tt.events}
			th.weigh(named.source)
			got := map[uint32]int64{}
			for _, e := range th.events {
				got[e.Stack] += e.Duration
			}
			assert.Equal(t, tt.want, got)
			assert.Len(t, th.events, tt.left)
		})
	}
}

func TestAStackThatIsNamedMeanwhileIsWeighedOnce(t *testing.T) {
	asked := map[uint32]int{}
	th := &threadLoad{}
	for _, id := range []uint32{1, 2, 3} {
		th.events = append(th.events, threadtrace.Event{Kind: threadtrace.KindSample, Duration: 6, Stack: id})
	}
	// The third is looked at as soon as it was asked for.
	th.weigh(func(id uint32) frameSource {
		asked[id]++
		if id == 3 && asked[id] == 1 {
			return framesNative
		}
		return []frameSource{1: framesHidden, 2: framesLooked, 3: framesLooked}[id]
	})
	assert.Equal(t, map[uint32]int{1: 1, 2: 1, 3: 1}, asked)
	require.Len(t, th.events, 2)
	assert.EqualValues(t, 12, th.events[0].Duration)
	assert.EqualValues(t, 6, th.events[1].Duration)
}

func TestEveryLookIsCounted(t *testing.T) {
	for want, err := range map[string]error{
		"seen": nil, "moved": interpreter.ErrMoved, "unreadable": fmt.Errorf("page: %w", interpreter.ErrUnreadable),
		"stuck": fmt.Errorf("process 7: %w", rootfs.ErrStuck), "failed": assert.AnError,
	} {
		assert.Equal(t, want, resultOfLook(err))
	}
}

func TestProcessesThatEndAreForgottenByInterpreters(t *testing.T) {
	f := &fakeInterpreters{}
	s := newSymbols(&fakeUnwinder{}, f, nopStats(t), nil)
	s.start()
	s.forget(7, newTarget(7, 0))
	s.settle()
	s.stop()
	s.wait()
	assert.Equal(t, []int32{7}, f.forgotten)
}
