package baseline

import (
	"strings"
	"testing"

	"github.com/perfscope/perfscope/internal/frames"
	"github.com/perfscope/perfscope/pkg/inference/internal/hop"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// rests makes hops in which threads wait, each at places with a share of its time.
type rests struct {
	t     *testing.T
	table *frames.Table
	may   MayIdle
}

func newRests(t *testing.T) *rests {
	table := frames.NewTable()
	return &rests{t, table, MayIdle{Classes: threadtrace.NewClasses("amd64"), Stacks: table}}
}

func (r *rests) place(text string) hop.Place {
	fields := strings.Fields(text)
	number, ok := threadtrace.Number("amd64", fields[0])
	if !ok {
		r.t.Fatal(fields[0])
	}
	var st threadtrace.Stack
	for _, f := range fields[1:] {
		frame := threadtrace.Frame{Function: f, Module: "server"}
		switch f[0] {
		case '@':
			frame = threadtrace.Frame{Function: f[1:], Module: "libc.so.6", Origin: threadtrace.OriginLibrary}
		case '~':
			frame = threadtrace.Frame{Function: f[1:], Module: "[jit]"}
		case '?':
			frame = threadtrace.Frame{Function: "Interpreter", Module: "[jit]", Origin: threadtrace.OriginRuntime}
		}
		st.Frames = append(st.Frames, frame)
	}
	return hop.Place{Stack: r.table.InternPlace(&st), Number: number}
}

type rest struct {
	thread int32
	at     hop.Place
	share  float64
}

func (r *rests) hop(all ...rest) *hop.Closed {
	c := &hop.Closed{Seconds: 5, Wait: map[hop.Place]hop.Wait{}}
	for _, w := range all {
		c.Cells = append(c.Cells, hop.SeenCell{
			Cell: hop.Cell{Thread: w.thread, Stack: w.at.Stack, Number: w.at.Number, Waiting: true}, Seen: hop.Seen{Time: int64(w.share * 5e9)},
		})
		c.Wait[w.at] = c.Wait[w.at].And(hop.Wait{Time: w.share * 1e9, Threads: 1})
	}
	c.DescribeThreads(r.may.At)
	return c
}

func TestAThreadIdlesWhereItWaitsMost(t *testing.T) {
	r := newRests(t)
	home, amid := r.place("epoll_wait @epoll_wait poll loop main"), r.place("read @read ask_peer handle loop main")
	var hops []*hop.Closed
	for range 8 {
		hops = append(hops, r.hop(rest{1, home, 0.6}, rest{1, amid, 0.3}))
	}
	w := NewIdling(hops, r.may, false)
	if !w.At(home) || w.At(amid) {
		t.Errorf("home %v, amid work %v", w.At(home), w.At(amid))
	}
}

func TestOneHiccupMakesNoHome(t *testing.T) {
	r := newRests(t)
	home, amid := r.place("epoll_wait @epoll_wait poll loop main"), r.place("poll @poll ask_upstream forward loop main")
	var hops []*hop.Closed
	for i := range 10 {
		if i == 4 {
			hops = append(hops, r.hop(rest{1, amid, 0.8}, rest{1, home, 0.1}))
		} else {
			hops = append(hops, r.hop(rest{1, amid, 0.05}, rest{1, home, 0.9}))
		}
	}
	if w := NewIdling(hops, r.may, false); !w.At(home) || w.At(amid) {
		t.Errorf("home %v, hiccup %v", w.At(home), w.At(amid))
	}
}

// A main thread that joins the others is in a lock primitive all of the time.
func TestAMainThreadThatJoinsTheOthersRests(t *testing.T) {
	r := newRests(t)
	join, lock := r.place("futex @__pthread_clockjoin_ex wait_all main"), r.place("futex @pthread_mutex_lock update worker")
	var hops []*hop.Closed
	for range 8 {
		hops = append(hops, r.hop(rest{1, join, 1}, rest{2, lock, 0.4}))
	}
	if w := NewIdling(hops, r.may, false); !w.At(join) || w.At(lock) {
		t.Errorf("joins %v, waits for a lock %v", w.At(join), w.At(lock))
	}
}

func TestAHomeStaysOneWhenItsCallersGetNames(t *testing.T) {
	r := newRests(t)
	interpreted := r.place("futex @park ? ? ?")
	var hops []*hop.Closed
	for range 8 {
		hops = append(hops, r.hop(rest{1, interpreted, 1}))
	}
	w := NewIdling(hops, r.may, false)
	if at := r.place("futex @park ~Queue.poll ~Log.run ?"); !w.At(at) {
		t.Error("it is another place once it is compiled")
	}
	if at := r.place("futex @park ~Peer.ask ~Log.flush ~Log.write ~Log.run ?"); w.At(at) {
		t.Error("a deeper call of what was never seen is the same place")
	}
}

func TestWithLessWorkThreadsWithoutAHomeAreUnasked(t *testing.T) {
	r := newRests(t)
	between, home := r.place("read @read next_piece worker"), r.place("epoll_wait @epoll_wait poll loop main")
	var hops []*hop.Closed
	for range 8 {
		hops = append(hops, r.hop(rest{1, between, 0.1}, rest{2, home, 0.9}))
	}
	w := NewIdling(hops, r.may, false)
	now := r.hop(rest{1, between, 0.9}, rest{2, home, 1})
	if w.At(between) || !w.Unasked(now)(between) {
		t.Errorf("amid work %v, with less of it %v", w.At(between), w.Unasked(now)(between))
	}
	if now := r.hop(rest{2, between, 0.9}); w.Unasked(now)(between) {
		t.Error("a thread that has a home idles elsewhere")
	}
}

// A child that is started later is forked elsewhere, and waits for connections as the
// others do.
func TestALaterChildIdlesUntilSomebodyConnects(t *testing.T) {
	r := newRests(t)
	first, later := r.place("accept4 @accept4 take child_main start_children main"), r.place("accept4 @accept4 take child_main spare_children run main")
	for _, tc := range []struct {
		name string
		at   hop.Place
		want bool
	}{
		{"where others do", first, true},
		{"where nobody does", r.place("epoll_wait @epoll_wait poll loop main"), false},
	} {
		var hops []*hop.Closed
		for range 8 {
			hops = append(hops, r.hop(rest{1, tc.at, 0.9}))
		}
		if got := NewIdling(hops, r.may, false).At(later); got != tc.want {
			t.Errorf("%s: %v", tc.name, got)
		}
	}
}
