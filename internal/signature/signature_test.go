package signature

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/perfscope/perfscope/pkg/threadtrace"
)

const arch = threadtrace.ArchAMD64

// call makes the event of a finished call, at a time that Add does not look at.
func call(t testing.TB, name string, stack uint32) threadtrace.Event {
	t.Helper()
	s, err := parseSymbol(arch, name)
	if err != nil {
		t.Fatal(err)
	}
	return threadtrace.Event{
		Kind: threadtrace.KindCall, Number: int32(s >> errnoBits), Return: ret(s), Stack: stack, Duration: 1000,
	}
}

// ret is what a call returned that ended like that.
func ret(s Symbol) int32 {
	switch errno := s & errnoMask; errno {
	case nothing:
		return 0
	case 0:
		return 1
	default:
		return -int32(errno)
	}
}

// trace builds the events of one thread.
type trace struct {
	t testing.TB
	threadtrace.Batch
	stacks map[string]uint32
}

func newTrace(t testing.TB, thread int32) *trace {
	return &trace{t: t, Batch: threadtrace.Batch{ThreadID: thread}, stacks: map[string]uint32{}}
}

// do adds calls made under a stack of functions, outermost first.
func (tr *trace) do(functions, calls string) {
	id := tr.stacks[functions]
	if id == 0 {
		st := threadtrace.Stack{Complete: true, Frames: []threadtrace.Frame{{Function: "write", Module: "libc.so.6", Origin: threadtrace.OriginLibrary}}}
		for _, f := range strings.Fields(functions) {
			st.Frames = slices.Insert(st.Frames, 1, threadtrace.Frame{Function: f, Module: "server"})
		}
		tr.Stacks = append(tr.Stacks, st)
		id = uint32(len(tr.Stacks))
		tr.stacks[functions] = id
	}
	for _, name := range strings.Fields(calls) {
		tr.Events = append(tr.Events, call(tr.t, name, id))
	}
}

// requests is a little server: every turn of its loop reads, looks something up,
// now and then saves, and answers.
func requests(t testing.TB, thread int32, turns int, r *rand.Rand) *trace {
	tr := newTrace(t, thread)
	for range turns {
		tr.do("main loop", "epoll_wait")
		tr.do("main loop serve receive", "read")
		if r.IntN(2) == 0 {
			tr.do("main loop serve lookup", "openat newfstatat")
			for range r.IntN(3) {
				tr.do("main loop serve lookup", "pread64")
			}
			tr.do("main loop serve lookup", "close")
		}
		if r.IntN(4) == 0 {
			tr.do("main loop serve save", "write fdatasync")
		}
		tr.do("main loop serve answer", "write")
	}
	tr.do("main loop", "epoll_wait")
	return tr
}

func mine(base *File, traces ...*trace) *File {
	m := NewMiner(arch, Sequences)
	for _, tr := range traces {
		m.Add(&tr.Batch)
	}
	m.Finish()
	return m.Mine(base)
}

func text(t testing.TB, f *File) string {
	t.Helper()
	var b strings.Builder
	if err := f.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestFunctionsAreToldByTheirCalls(t *testing.T) {
	f := mine(nil, requests(t, 1, 2000, rand.New(rand.NewPCG(1, 0))))
	got := map[string][]string{}
	for i := range f.Functions {
		for _, s := range f.Functions[i].Signatures {
			got[f.Functions[i].Name] = append(got[f.Functions[i].Name], s.Episode.Text(arch))
		}
	}
	want := map[string]string{
		"receive": "read",
		"save":    "write, fdatasync",
		"lookup":  "openat, newfstatat",
	}
	for function, episode := range want {
		if !slices.Contains(got[function], episode) {
			t.Errorf("%s is not told by %q but by %q", function, episode, got[function])
		}
	}
	// Its only call is save's, too, which is made a fourth as often.
	for _, never := range []string{"main", "loop", "serve", "write"} {
		if got[never] != nil {
			t.Errorf("%s is on nearly every stack, or no function of the program, and has %q", never, got[never])
		}
	}
}

func TestTheOrderOfThreadsDoesNotMatter(t *testing.T) {
	var traces []*trace
	for thread := range int32(8) {
		traces = append(traces, requests(t, thread+1, 200, rand.New(rand.NewPCG(uint64(thread), 1))))
	}
	want := text(t, mine(nil, traces...))
	r := rand.New(rand.NewPCG(2, 2))
	for range 5 {
		m := NewMiner(arch, Sequences)
		// Each thread's calls in pieces, the threads in any order.
		left := make([][]threadtrace.Event, len(traces))
		for i, tr := range traces {
			left[i] = tr.Events
		}
		for slices.ContainsFunc(left, func(e []threadtrace.Event) bool { return len(e) > 0 }) {
			i := r.IntN(len(left))
			n := min(len(left[i]), 1+r.IntN(50))
			m.Add(&threadtrace.Batch{ThreadID: traces[i].ThreadID, Events: left[i][:n], Stacks: traces[i].Stacks})
			left[i] = left[i][n:]
		}
		m.Finish()
		if got := text(t, m.Mine(nil)); got != want {
			t.Fatalf("another order gives another result:\n%s\nnot\n%s", got, want)
		}
	}
}

func TestAPlantedEpisodeIsFoundAmongNoise(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 0))
	noise := strings.Fields("read write openat close lseek fstat mmap munmap brk ioctl fcntl getpid gettid futex sendto recvfrom")
	for range 10 {
		tr := newTrace(t, 1)
		planted := make([]string, 3)
		for i, at := range r.Perm(len(noise))[:3] {
			planted[i] = noise[at]
		}
		times := 0
		for range 3000 {
			tr.do("main", "epoll_wait")
			for range 1 + r.IntN(6) {
				tr.do("main other", noise[r.IntN(len(noise))])
			}
			if r.IntN(5) == 0 {
				times++
				for i, c := range planted {
					if i == 1 {
						for range r.IntN(3) {
							tr.do("main culprit", noise[r.IntN(len(noise))])
						}
					}
					tr.do("main culprit", c)
				}
			}
		}
		m := NewMiner(arch, Sequences)
		m.Add(&tr.Batch)
		m.Finish()
		w := &mining{columns: map[Symbol]*column{}}
		for id, e := range w.look(m) {
			if m.stacks.Function(id).Name != "culprit" {
				continue
			}
			w.scenesOf(e)
			want := planted[0] + ", *, " + planted[1] + ", " + planted[2]
			found := mineScenes(invocations(e.scenes), closed)
			i := slices.IndexFunc(found, func(f frequent) bool { return f.Text(arch) == want })
			if i < 0 {
				t.Fatalf("%q is not among the %d episodes", want, len(found))
			}
			if found[i].support != uint64(times) {
				t.Errorf("%q was planted %d times and has support %d", want, times, found[i].support)
			}
		}
	}
}

// naive gives the calls at which an episode ends, by trying every way to place
// its steps.
func naive(calls []Symbol, e Episode) (ends uint64) {
	var place func(step, at int)
	place = func(step, at int) {
		if calls[at] != e[step].Call {
			return
		}
		if step == len(e)-1 {
			ends |= 1 << at
			return
		}
		for next := at + 1; next < len(calls); next++ {
			place(step+1, next)
			if !e[step+1].Gap {
				break
			}
		}
	}
	for at := range calls {
		place(0, at)
	}
	return ends
}

func randomCalls(r *rand.Rand, n, letters int) []Symbol {
	calls := make([]Symbol, n)
	for i := range calls {
		calls[i] = Symbol(r.IntN(letters)) << errnoBits
	}
	return calls
}

func TestEveryMinedEpisodeHasItsSupport(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 0))
	total := 0
	for range 30 {
		var scenes []scene
		for range 30 + r.IntN(40) {
			calls := randomCalls(r, 1+r.IntN(10), 2+r.IntN(4))
			scenes = append(scenes, scene{newSequence(calls, 1+r.Uint64N(9)), 1 + r.Uint64N(1<<len(calls)-1)})
		}
		mined := mineScenes(scenes, closed)
		total += len(mined)
		keys := map[string]bool{}
		for _, f := range mined {
			if keys[f.key()] {
				t.Fatalf("%s was mined twice", f.Text(arch))
			}
			keys[f.key()] = true
			support := uint64(0)
			for i := range scenes {
				ends := naive(scenes[i].calls, f.Episode)
				if ends != scenes[i].ends(f.Episode) {
					t.Fatalf("%s ends at %b of %v, not at %b", f.Text(arch), ends, scenes[i].calls, scenes[i].ends(f.Episode))
				}
				if ends&scenes[i].places != 0 {
					support += scenes[i].weight
				}
			}
			if support != f.support || support < leastSeen {
				t.Fatalf("%s has support %d, not %d", f.Text(arch), support, f.support)
			}
			// Closed: no other mined episode asks for more and has the same.
			for _, other := range mined {
				if other.support == f.support && len(other.Episode) == len(f.Episode)+1 && slices.Equal(other.without(0), f.Episode) {
					t.Fatalf("%s is not closed: %s has the same support", f.Text(arch), other.Text(arch))
				}
			}
		}
	}
	if total < 1000 {
		t.Errorf("only %d episodes were mined", total)
	}
}

// Columns are another way to the same.
func TestColumnsGiveWhatSequencesGive(t *testing.T) {
	r := rand.New(rand.NewPCG(10, 0))
	var sequences []sequence
	w := &mining{columns: map[Symbol]*column{}}
	for i := range 200 {
		sequences = append(sequences, newSequence(randomCalls(r, 1+r.IntN(maxSequence), 6), 1))
		for _, at := range sequences[i].at {
			if w.columns[at.call] == nil {
				w.columns[at.call] = &column{held: make([]uint64, 4)}
			}
			w.columns[at.call].add(i, at.mask)
		}
	}
	for _, c := range w.columns {
		c.done()
	}
	for range 200 {
		var e Episode
		for s, c := range randomCalls(r, 1+r.IntN(MaxSteps), 6) {
			e = append(e, Step{Call: c, Gap: s > 0 && r.IntN(2) == 0})
		}
		columns := w.columnsOf(e)
		for i := range sequences {
			want, got := sequences[i].ends(e), uint64(0)
			if holding(columns, i/64)>>(i%64)&1 == 1 {
				got = e.endsAt(columns, i)
			}
			if got != want {
				t.Fatalf("%s ends at %b of sequence %d, not at %b", e.Text(arch), got, i, want)
			}
		}
	}
	if w.columnsOf(Episode{{Call: 99 << errnoBits}}) != nil {
		t.Error("a call that is in no sequence has a column")
	}
}

func TestWhatWasKnownIsNotForgotten(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 0))
	first := mine(nil, requests(t, 1, 1000, r))
	first.Program = Program{Executable: "/usr/bin/server", BuildIDKind: "gnu", BuildID: "60f4", Arch: arch}
	// The second run serves nothing but answers.
	tr := newTrace(t, 1)
	for range 1000 {
		tr.do("main loop", "epoll_wait")
		tr.do("main loop serve receive", "read")
		tr.do("main loop serve answer", "write")
	}
	both := mine(first, tr)
	if both.Program != first.Program || both.Calls != first.Calls+3000 {
		t.Errorf("%+v of %d calls after %d", both.Program, both.Calls, first.Calls)
	}
	lookup := both.find("server", "lookup")
	if lookup == nil || !slices.EqualFunc(lookup.Signatures, first.find("server", "lookup").Signatures, func(a, b Signature) bool {
		return a.Right == b.Right && a.Total == b.Total && slices.Equal(a.Episode, b.Episode)
	}) {
		t.Errorf("lookup was not met again and became %+v", lookup)
	}
	// In the third, what was save's own belongs to others far more often.
	tr = newTrace(t, 1)
	for range 2000 {
		tr.do("main loop", "epoll_wait")
		tr.do("main loop flush", "write fdatasync")
		tr.do("main loop idle", "getpid gettid getuid")
	}
	if f := mine(both, tr); f.find("server", "save") != nil || f.find("server", "flush") == nil {
		t.Errorf("save: %+v, flush: %+v", f.find("server", "save"), f.find("server", "flush"))
	}
	// Halves make the whole.
	whole := requests(t, 1, 2000, rand.New(rand.NewPCG(6, 0)))
	at := slices.IndexFunc(whole.Events[len(whole.Events)/2:], func(e threadtrace.Event) bool { return e.Number == call(t, "epoll_wait", 0).Number })
	at += len(whole.Events) / 2
	a, b := *whole, *whole
	a.Events, b.Events = whole.Events[:at], whole.Events[at:]
	one, two := mine(nil, whole), mine(mine(nil, &a), &b)
	if one.Calls != two.Calls || one.find("server", "receive").Calls != two.find("server", "receive").Calls {
		t.Errorf("the whole has %d calls, its halves %d", one.Calls, two.Calls)
	}
}

func TestCallsWithoutAStackSayNothing(t *testing.T) {
	tr := requests(t, 1, 1000, rand.New(rand.NewPCG(7, 0)))
	for i := range tr.Events {
		if i%3 == 0 {
			tr.Events[i].Stack = 0
		}
	}
	m := NewMiner(arch, Sequences)
	m.Add(&tr.Batch)
	m.Finish()
	f := m.Mine(nil)
	if p := m.Progress(); p.Bare != (p.Calls+2)/3 || f.Calls != p.Calls-p.Bare {
		t.Errorf("%+v, and %d calls in the file", p, f.Calls)
	}
	if fn := f.find("server", "receive"); fn == nil || fn.Signatures[0].Right != fn.Signatures[0].Total {
		t.Errorf("receive: %+v", fn)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 0))
	feed := func(order []int) *Miner {
		m := NewMiner(arch, Sequences)
		for _, seed := range order {
			own := rand.New(rand.NewPCG(uint64(seed), 9))
			tr := newTrace(t, int32(seed+1))
			for i := range 20 {
				tr.do(fmt.Sprintf("main f%d", (seed+i)%30), "epoll_wait")
			}
			for range 300 {
				tr.Events = append(tr.Events, call(t, "epoll_wait", 1))
				for range 7 {
					e := call(t, "read", uint32(1+own.IntN(20)))
					e.Number = int32(own.IntN(200))
					e.Duration = 0
					tr.Events = append(tr.Events, e)
				}
			}
			m.Add(&tr.Batch)
		}
		m.Finish()
		return m
	}
	order := r.Perm(100)
	m := feed(order)
	p := m.Progress()
	if p.Distinct > lengthClasses*Sequences || p.Left == 0 || p.Bytes > 64<<20 {
		t.Errorf("%+v", p)
	}
	slices.Reverse(order)
	hashes := map[uint64]bool{}
	for _, kept := range feed(order).units.of {
		hashes[kept.hash] = true
	}
	for _, kept := range m.units.of {
		if !hashes[kept.hash] {
			t.Fatal("what is kept depends on the order of threads")
		}
	}
}

// A background thread that now and then makes the same call must not be taken
// for the function, though most of such calls are the function's.
func TestOwnCallsAreAskedForInFull(t *testing.T) {
	busy, other := newTrace(t, 1), newTrace(t, 2)
	for i := range 3000 {
		busy.do("main loop", "epoll_wait")
		busy.do("main loop serve", "read")
		if i%200 == 1 {
			// The write is the last call of a sequence that is cut.
			busy.do("main loop serve", strings.Repeat("read ", maxSequence-3))
		}
		busy.do("main loop flush", "write fdatasync")
		if i%100 == 0 {
			other.do("start job", "futex:0 fdatasync")
		}
	}
	f := mine(nil, busy, other)
	flush := f.find("server", "flush")
	if flush == nil {
		t.Fatal("flush has no signature")
	}
	for _, s := range flush.Signatures {
		if s.Episode.Text(arch) == "fdatasync" {
			t.Errorf("flush is told by %d/%d fdatasync alone", s.Right, s.Total)
		}
	}
}

func TestConfidence(t *testing.T) {
	for _, c := range []struct {
		right, total uint64
		want         float64
	}{
		// By hand: (p + z²/2n - z √(p(1-p)/n + z²/4n²)) / (1 + z²/n), z = 1.96.
		{8, 10, 0.490}, {leastSeen, leastSeen, 0.901}, {leastSeen - 1, leastSeen - 1, 0.898}, {900, 1000, 0.880}, {0, 50, 0}, {0, 0, 0},
	} {
		if got := (Signature{Right: c.right, Total: c.total}).Confidence(); math.Abs(got-c.want) > 0.0006 {
			t.Errorf("%d of %d: %.4f, not %.3f", c.right, c.total, got, c.want)
		}
	}
}

func TestLostCallsEndASequence(t *testing.T) {
	m := NewMiner(arch, Sequences)
	tr := newTrace(t, 1)
	tr.do("main loop", "epoll_wait")
	tr.do("main loop serve", "read")
	m.Add(&tr.Batch)
	next := newTrace(t, 1)
	next.do("main loop serve", "write")
	next.Dropped = 3
	m.Add(&next.Batch)
	m.Finish()
	if p := m.Progress(); p.Sequences != 2 {
		t.Errorf("%d sequences around a loss, not 2", p.Sequences)
	}
	// A burst of tracing ends in a call, and the next begins in another.
	m = NewMiner(arch, Sequences)
	tr = newTrace(t, 1)
	tr.do("main loop serve", "read write getpid read")
	tr.Events[1].Kind, tr.Events[1].Cut = threadtrace.KindInFlight, true
	tr.Events[2].Cut = true
	m.Add(&tr.Batch)
	m.Finish()
	if p := m.Progress(); p.Sequences != 2 || p.Calls != 3 {
		t.Errorf("%d sequences of %d calls around what was not traced, not 2 of 3", p.Sequences, p.Calls)
	}
}

func ExampleEpisode_Text() {
	e, err := ParseEpisode("amd64", "openat, *, read:EAGAIN, close")
	fmt.Println(e.Text("amd64"), err)
	// Output: openat, *, read:EAGAIN, close <nil>
}
