package attribute

import (
	"fmt"
	"slices"
	"testing"

	"github.com/perfscope/perfscope/internal/frames"
	"github.com/perfscope/perfscope/internal/unit"
	"github.com/perfscope/perfscope/pkg/inference/internal/baseline"
	"github.com/perfscope/perfscope/pkg/inference/internal/detect"
	"github.com/perfscope/perfscope/pkg/inference/internal/hop"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// service turns hops into cases.
type service struct {
	t       *testing.T
	stacks  *frames.Table
	classes *threadtrace.Classes
	index   *baseline.Index
	idle    map[hop.Place]bool
}

func newService(t *testing.T) *service {
	return &service{t, frames.NewTable(), threadtrace.NewClasses("amd64"), baseline.NewIndex(), map[hop.Place]bool{}}
}

func (s *service) id(text string) uint32 { return s.stacks.Intern(stack(text)) }

func (s *service) place(call, text string) hop.Place {
	nr, ok := threadtrace.Number("amd64", call)
	if !ok {
		s.t.Fatal(call)
	}
	return hop.Place{Stack: s.id(text), Number: nr}
}

// runs has a stack be on CPU for a time.
func runs(c *hop.Closed, stack uint32, time float64) {
	cpu := c.CPU.Map()
	cpu[stack] = time
	c.CPU = hop.TimesOf(cpu)
}

// calls has a call be made at a stack so often.
func calls(c *hop.Closed, at hop.Site, often float64) {
	sites := c.Sites.Map()
	sites[at] = often
	c.Sites = hop.SitesOf(sites)
}

func (s *service) hop(fill func(*hop.Closed)) *hop.Closed {
	c := &hop.Closed{
		Seconds: 5, CallSeconds: 5, SamplePeriod: 1e9 / 49 / 5, SnapshotPeriod: 0.2e9 / 5, Threads: 8, Measures: []float64{0, 100, 1e4, 100, 1e5},
		Wait: map[hop.Place]hop.Wait{}, Fresh: map[hop.Place]hop.Wait{},
		Calls: map[unit.Key]hop.Totals{}, TimedOut: map[int32]float64{},
	}
	runs(c, s.id("parse handle loop main"), 40e6)
	runs(c, s.id("reply handle loop main"), 30e6)
	fill(c)
	c.CPUTotal += c.CPU.Sum()
	return c
}

// judge compares a hop with twelve healthy ones.
func (s *service) judge(now *hop.Closed) Case {
	views := baseline.Views{Stacks: s.stacks, Index: s.index, Idle: func(p hop.Place) bool { return s.idle[p] }, Refusal: func(k unit.Key) bool { return detect.IsRefusal(k, s.classes) }}
	p := &baseline.Past{}
	for range 12 {
		p.Add(views.Of(s.hop(func(*hop.Closed) {}), true))
	}
	vector := views.Of(now, true)
	load := p.Load(vector, s.index)
	vector.Load = load.Work
	verdict := detect.New(detect.Config{Evidence: 12, Share: 0.2, Least: 0.02e9, Refusals: 1}, s.classes, s.index).Compare(p, vector, load)
	return Case{Stacks: s.stacks, Classes: s.classes, Idle: views.Idle, Hop: now, Verdict: &verdict, Past: MeansOf(p)}
}

const allMoments = 1<<25 - 1

func TestThreadsHeldByOneReasonScoreAsOneDoes(t *testing.T) {
	var scores []float64
	for _, threads := range []int{1, 2, 8, 40, 200} {
		s := newService(t)
		c := s.judge(s.hop(func(c *hop.Closed) {
			c.Wait[s.place("read", "@read ask_peer job worker")] = hop.Wait{Time: float64(threads) * 0.95e9, Threads: threads, Moments: allMoments}
			c.Threads = threads + 1
		}))
		ranked := Rank(s.stacks, c.Times(), Scale{}, 10)
		if len(ranked) == 0 || ranked[0].Function != "ask_peer" {
			t.Fatalf("%d threads: %v", threads, names(ranked))
		}
		scores = append(scores, ranked[0].Score)
	}
	for _, score := range scores {
		if score < 0.8*scores[0] {
			t.Errorf("the scores are %v", scores)
		}
	}
}

// However many threads wait, who computes has as much of the score.
func TestManyThreadsHideNobodyWhoComputes(t *testing.T) {
	for _, threads := range []int{2, 8, 40} {
		s := newService(t)
		c := s.judge(s.hop(func(c *hop.Closed) {
			runs(c, s.id("crunch handle loop main"), 0.9e9)
			c.Wait[s.place("read", "@read ask_peer job worker")] = hop.Wait{Time: float64(threads) * 0.95e9, Threads: threads, Moments: allMoments}
			c.Threads = threads + 1
		}))
		ranked := Rank(s.stacks, c.Times(), Scale{}, 10)
		at := slices.IndexFunc(ranked, func(s Suspect) bool { return s.Function == "crunch" })
		if at < 0 || ranked[at].Score < 0.3 {
			t.Errorf("%d threads: %+v", threads, ranked)
		}
	}
}

// Of two places that hold many threads the one that holds most is worse.
func TestManyThreadsAreWorseThanSome(t *testing.T) {
	s := newService(t)
	c := s.judge(s.hop(func(c *hop.Closed) {
		c.Wait[s.place("read", "@read read_body upload worker")] = hop.Wait{Time: 30e9, Threads: 32, Moments: allMoments}
		c.Wait[s.place("poll", "@poll linger finish worker")] = hop.Wait{Time: 1.5e9, Threads: 3, Moments: allMoments}
		c.Threads = 40
	}))
	ranked := Rank(s.stacks, c.Times(), Scale{}, 10)
	if len(ranked) < 2 || ranked[0].Function != "read_body" || slices.Contains(names(ranked[:2]), "linger") {
		t.Errorf("%+v", ranked)
	}
}

// A sleep ends in the call in which threads wait for each other.
func TestASleepIsNobodyElsesDoing(t *testing.T) {
	s := newService(t)
	c := s.judge(s.hop(func(c *hop.Closed) {
		c.Wait[s.place("futex", "@pthread_cond_timedwait @Thread::sleep retry fetch worker")] = hop.Wait{Time: 1.2e9, Threads: 2, Moments: allMoments}
		c.Wait[s.place("poll", "@poll ask_peer quote worker")] = hop.Wait{Time: 0.6e9, Threads: 1, Moments: allMoments}
		c.Threads = 4
	}))
	if ranked := Rank(s.stacks, c.Times(), Scale{}, 10); len(ranked) == 0 || ranked[0].Function != "retry" {
		t.Errorf("%+v", ranked)
	}
}

func TestARuntimeWorksForTheApplication(t *testing.T) {
	collect := func(s *service) uint32 {
		return s.stacks.Intern(&threadtrace.Stack{Frames: []threadtrace.Frame{{Function: "gcDrain", Module: "server", Origin: threadtrace.OriginRuntime}}})
	}
	for name, tc := range map[string]struct {
		own  float64
		want string
	}{"for what allocates": {0.3e9, "build"}, "by itself": {0, "gcDrain"}} {
		t.Run(name, func(t *testing.T) {
			s := newService(t)
			c := s.judge(s.hop(func(c *hop.Closed) {
				runs(c, collect(s), 0.5e9)
				if tc.own > 0 {
					runs(c, s.id("build handle loop main"), tc.own)
				}
			}))
			if ranked := Rank(s.stacks, c.Times(), Scale{}, 10); len(ranked) == 0 || ranked[0].Function != tc.want {
				t.Errorf("%v", names(ranked))
			}
		})
	}
}

// A queue for a lock is explained by what its holder does, but for who takes the lock.
func TestAQueueIsExplainedByItsHolder(t *testing.T) {
	s := newService(t)
	c := s.judge(s.hop(func(c *hop.Closed) {
		runs(c, s.id("dump_all dump serve worker"), 0.9e9)
		c.Wait[s.place("futex", "@pthread_mutex_lock insert serve worker")] = hop.Wait{Time: 2.5e9, Threads: 3, Moments: allMoments}
	}))
	ranked := Rank(s.stacks, c.Times(), Scale{}, 10)
	if len(ranked) < 2 || ranked[0].Function != "dump_all" {
		t.Errorf("%v", ranked)
	}
	s = newService(t)
	c = s.judge(s.hop(func(c *hop.Closed) {
		c.Wait[s.place("futex", "@pthread_mutex_lock insert serve worker")] = hop.Wait{Time: 2.5e9, Threads: 3, Moments: allMoments}
	}))
	if ranked := Rank(s.stacks, c.Times(), Scale{}, 10); len(ranked) == 0 || ranked[0].Function != "insert" {
		t.Errorf("nobody is seen to hold it: %v", ranked)
	}
	// Who takes a lock holds it in all that it calls.
	s = newService(t)
	c = s.judge(s.hop(func(c *hop.Closed) {
		c.Wait[s.place("poll", "@poll ask borrow serve worker")] = hop.Wait{Time: 0.8e9, Threads: 1, Moments: allMoments}
		c.Wait[s.place("futex", "@pthread_mutex_lock borrow serve worker")] = hop.Wait{Time: 2.5e9, Threads: 3, Moments: allMoments}
		c.Wait[s.place("futex", "@pthread_mutex_lock give_back serve worker")] = hop.Wait{Time: 2.5e9, Threads: 3, Moments: allMoments}
	}))
	if ranked := Rank(s.stacks, c.Times(), Scale{}, 10); len(ranked) < 2 || ranked[0].Function != "borrow" || ranked[1].Function == "give_back" {
		t.Errorf("%+v", ranked)
	}
}

func TestWhatIsBeyondThePastIsSharedOutInFull(t *testing.T) {
	s := newService(t)
	c := s.judge(s.hop(func(c *hop.Closed) {
		for i := range 5 {
			runs(c, s.id(fmt.Sprintf("step%d scan handle loop main", i)), 0.1e9)
		}
	}))
	sum := 0.0
	for _, x := range c.onCPU() {
		if x.Excess < 0 || x.Excess > x.Now {
			t.Errorf("%+v", x)
		}
		sum += x.Excess
	}
	if sum < 0.99*c.Verdict.CPUExcess || sum > c.Verdict.CPUExcess+10 {
		t.Errorf("%v of %v", sum, c.Verdict.CPUExcess)
	}
}

func TestARefusalIsItsCallers(t *testing.T) {
	connect, _ := threadtrace.Number("amd64", "connect")
	s := newService(t)
	c := s.judge(s.hop(func(c *hop.Closed) {
		begun, refused := unit.Key{Number: connect, Errno: einprogress}, unit.Key{Number: connect, Errno: 111}
		c.Calls[begun], c.Calls[refused] = hop.Totals{N: 40}, hop.Totals{N: 40}
		calls(c, hop.Site{Key: begun, Stack: s.id("@connect dial retry main")}, 40)
		calls(c, hop.Site{Key: refused, Stack: s.id("@connect check on_ready main")}, 40)
	}))
	if c.Verdict.Refusal < 1 {
		t.Fatalf("%+v", c.Verdict)
	}
	if ranked := Rank(s.stacks, c.RefusalTimes(), Scale{}, 10); len(ranked) == 0 || ranked[0].Function != "dial" {
		t.Errorf("%v", names(ranked))
	}
}

// A wait that is timed by its calls, and that no look at the threads has met, is of those
// who make such calls more often than they did.
func TestAWaitThatNoLookMetHasACaller(t *testing.T) {
	s := newService(t)
	c := s.judge(s.hop(func(c *hop.Closed) {
		at := s.place("fdatasync", "@fdatasync flush handle loop main")
		key := unit.Key{Number: at.Number}
		c.Wait[hop.Place{Number: at.Number}] = hop.Wait{Time: 0.12e9, Threads: 1, Exact: true, Moments: allMoments}
		c.Calls[key] = hop.Totals{N: 540, Time: 0.12e9}
		calls(c, hop.Site{Key: key, Stack: at.Stack}, 540)
	}))
	if ranked := Rank(s.stacks, c.Times(), Scale{}, 10); len(ranked) == 0 || ranked[0].Function != "flush" {
		t.Errorf("%v: %+v", names(ranked), c.Times())
	}
}

// Who waits for a thread that has no CPU waits for that, not for itself.
func TestAQueueIsExplainedByAHolderWithoutACPU(t *testing.T) {
	score := func(delay float64) (score float64) {
		s := newService(t)
		c := s.judge(s.hop(func(c *hop.Closed) {
			runs(c, s.id("dump_all dump serve worker"), 0.3e9)
			c.RunDelay = delay
			c.Wait[s.place("futex", "@futex insert serve worker")] = hop.Wait{Time: 2.5e9, Threads: 3, Moments: allMoments}
		}))
		for _, r := range Rank(s.stacks, c.Times(), Scale{}, 10) {
			if r.Function == "insert" {
				score = r.Score
			}
		}
		return score
	}
	if with, without := score(0.6e9), score(0); with >= without/2 || without == 0 {
		t.Errorf("insert has %v, and %v when the holder has a CPU", with, without)
	}
}

// What a library's own goroutines call is the doing of those who call the library.
func TestCallsOfALibraryAreItsCallers(t *testing.T) {
	s := newService(t)
	connect, _ := threadtrace.Number("amd64", "connect")
	library := func(frames ...string) uint32 {
		st := &threadtrace.Stack{}
		for _, f := range frames {
			frame := threadtrace.Frame{Function: f, Module: "server"}
			if f[0] == 'n' {
				frame.Origin = threadtrace.OriginLibrary
			}
			st.Frames = append(st.Frames, frame)
		}
		return s.stacks.Intern(st)
	}
	key := unit.Key{Number: connect}
	c := s.judge(s.hop(func(c *hop.Closed) {
		runs(c, library("net/http.(*Transport).RoundTrip", "ask", "handle"), 0.1e9)
		c.Calls[key] = hop.Totals{N: 2000, Time: 0.04e9}
		calls(c, hop.Site{Key: key, Stack: library("net.connect", "net/http.(*Transport).dial")}, 2000)
	}))
	ranked := Rank(s.stacks, c.Evidence(), Scale{}, 10)
	if len(ranked) == 0 || ranked[0].Function != "ask" || slices.ContainsFunc(ranked, func(r Suspect) bool { return r.Function == "net.connect" }) {
		t.Errorf("%+v", ranked)
	}
}

// What a library does for an interpreted program whose frames were not read is no doing of
// the one function that was seen to call it.
func TestWhatAnInterpreterRunsUnreadIsNobodys(t *testing.T) {
	s := newService(t)
	native := threadtrace.Frame{Function: "sock_connect", Module: "socket.so", Origin: threadtrace.OriginLibrary}
	of := func(frames ...threadtrace.Frame) uint32 { return s.stacks.Intern(&threadtrace.Stack{Frames: frames}) }
	script := func(name string) threadtrace.Frame { return threadtrace.Frame{Function: name, Module: "app.rb"} }
	first := func(loop string) string {
		c := s.judge(s.hop(func(c *hop.Closed) {
			runs(c, of(script("locate"), script("main")), 0.2e9)
			runs(c, of(native, script("list"), script("main")), 0.01e9)
			runs(c, of(native, threadtrace.Frame{Function: loop, Module: "libruby.so", Origin: threadtrace.OriginRuntime}), 0.12e9)
		}))
		return Rank(s.stacks, c.Evidence(), Scale{}, 10)[0].Function
	}
	if got := first("rb_vm_exec"); got != "locate" {
		t.Errorf("%s is first", got)
	}
	if got := first("thread_of_a_pool"); got == "locate" {
		t.Errorf("%s is first, and a library's own thread works for who calls it", got)
	}
}

// A wait that is over before the interpreter's frames are read is that of what it was seen to
// run in the same call, or of what it runs more than ever.
func TestAShortWaitIsThatOfWhatAnInterpreterRuns(t *testing.T) {
	for _, tt := range []struct {
		name, loop, want string
		met              bool // a stack that was read waits in the same call
	}{
		{"by what is computed", "execute_ex", "enter", false},
		{"by a wait that was met", "execute_ex", "save", true},
		{"a thread of a library", "thread_of_a_pool", "stream_sync", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newService(t)
			of := func(frames ...threadtrace.Frame) uint32 { return s.stacks.Intern(&threadtrace.Stack{Frames: frames}) }
			script := func(name string) threadtrace.Frame { return threadtrace.Frame{Function: name, Module: "app.php"} }
			sync := threadtrace.Frame{Function: "stream_sync", Module: "php8.2", Origin: threadtrace.OriginLibrary}
			loop := threadtrace.Frame{Function: tt.loop, Module: "php8.2", Origin: threadtrace.OriginRuntime}
			fsync := s.place("fsync", "@fsync").Number
			c := s.judge(s.hop(func(c *hop.Closed) {
				runs(c, of(script("enter"), script("main")), 60e6)
				c.Wait[hop.Place{Stack: of(sync, loop), Number: fsync}] = hop.Wait{Time: 0.8e9, Threads: 1, Moments: allMoments}
				if tt.met {
					c.Wait[hop.Place{Stack: of(script("save"), script("main")), Number: fsync}] = hop.Wait{Time: 0.1e9, Threads: 1, Moments: allMoments}
				}
			}))
			times := c.Times()
			ranked := Rank(s.stacks, times, Scale{}, 10)
			if len(ranked) == 0 || ranked[0].Function != tt.want {
				t.Errorf("%v", names(ranked))
			}
			if doing := DoingOf(s.stacks, times, nil); doing.ByCall[fsync] < 0.9*doing.Waiting || doing.Waiting < 0.35e9 {
				t.Errorf("%+v", doing)
			}
		})
	}
}

func TestAWaitWhoseStackWasCutShortIsThatOfTheWholeOne(t *testing.T) {
	s := newService(t)
	at := func(frames ...threadtrace.Frame) hop.Place {
		return hop.Place{Stack: s.stacks.InternPlace(&threadtrace.Stack{Frames: frames}), Number: s.place("write", "@write").Number}
	}
	native := threadtrace.Frame{Function: "write0", Module: "libnio.so", Origin: threadtrace.OriginRuntime}
	library := threadtrace.Frame{Function: "SocketChannelImpl.write", Module: "[jit]", Origin: threadtrace.OriginLibrary}
	send := threadtrace.Frame{Function: "app.Cnxn.send", Module: "[jit]"}
	ranked := func(whole float64) []string {
		c := s.judge(s.hop(func(c *hop.Closed) {
			c.Wait[at(native, library)] = hop.Wait{Time: 0.9e9, Threads: 1, Moments: allMoments}
			if whole > 0 {
				c.Wait[at(native, library, send)] = hop.Wait{Time: whole, Threads: 1, Moments: 7}
			}
		}))
		return names(Rank(s.stacks, c.Times(), Scale{}, 10))
	}
	if got := ranked(0.05e9); len(got) != 1 || got[0] != "app.Cnxn.send" {
		t.Errorf("%v", got)
	}
	if got := ranked(0); len(got) == 0 || got[0] != "write0" {
		t.Errorf("nobody knows how it goes on: %v", got)
	}
}

// TestWorkThatStopped: the program's own functions that call a library are where a request
// may stand, not the library's, nor what is on the stack of the thread that rests.
func TestWorkThatStopped(t *testing.T) {
	s := newService(t)
	write, _ := threadtrace.Number("amd64", "write")
	past := Means{
		CPU: map[uint32]float64{
			s.id("lib/pool.read loop main"):                                     50e6,
			s.id("lib/pool.write lib/pool.ask app/web.fetch app/web.show loop"): 30e6,
			s.id("app/web.answer loop main"):                                    20e6,
		},
		Sites: map[hop.Site]float64{
			{Key: unit.Key{Number: write}, Stack: s.id("lib/pool.write lib/pool.ask app/web.fetch app/web.show loop")}: 100,
			{Key: unit.Key{Number: write}, Stack: s.id("app/web.answer loop main")}:                                    100,
		},
	}
	now := s.hop(func(c *hop.Closed) {
		c.CPU = hop.Times{}
		c.Wait[s.place("epoll_wait", "@epoll_wait loop main")] = hop.Wait{Time: 1e9, Threads: 1}
	})
	c := Case{Stacks: s.stacks, Classes: s.classes, Hop: now, Past: past}
	want := []string{"app/web.fetch", "app/web.answer", "app/web.show", "lib/pool.write", "lib/pool.read", "lib/pool.ask"}
	if got := names(c.Stopped(10)); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if got := c.Stopped(2); len(got) != 2 {
		t.Errorf("%v", names(got))
	}
}

// A goroutine that a function started, and waits for, has none of that one's callers on its
// stack: they are those of who waits, and what is waited in is the goroutine's call.
func TestAGoroutineIsWaitedForByWhoStartedIt(t *testing.T) {
	for _, tt := range []struct {
		name, closure string
		told          bool // that it is waited for
	}{
		{"its own", "db.(*conn).with.func2", true},
		{"its own, by a wrapper", "db.(*conn).with.gowrap1", true},
		{"another's", "db.(*conn).close.func2", false},
		{"no closure", "db.serve", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newService(t)
			read := s.place("read", "@read db.answer "+tt.closure)
			c := s.judge(s.hop(func(c *hop.Closed) {
				c.Wait[s.place("futex", "@futex db.(*conn).with db.get main.list main.handle")] = hop.Wait{Time: 0.95e9, Threads: 1, Moments: allMoments}
				c.Wait[read] = hop.Wait{Time: 0.9e9, Threads: 1, Moments: allMoments}
				c.RunDelay = 0.5e9 // what would explain any wait for others
			}))
			times := c.Times()
			ranked := Rank(s.stacks, times, Scale{}, 10)
			doing := DoingOf(s.stacks, times, nil)
			if at := slices.IndexFunc(ranked, func(s Suspect) bool { return s.Function == "main.list" }); (at >= 0) != tt.told {
				t.Errorf("the caller is at %d of %v", at, names(ranked))
			}
			if at := slices.IndexFunc(ranked, func(s Suspect) bool { return s.Function == tt.closure }); (at < 0) != tt.told {
				t.Errorf("the closure is at %d of %v", at, names(ranked))
			}
			if waited := doing.ByCall[read.Number]; waited < 0.8*doing.Waiting || doing.Waiting < 0.5e9 {
				t.Errorf("%v of %v is waited in read", waited, doing.Waiting)
			}
		})
	}
}

// A goroutine without a past that waits for a closure at work does not idle, though it waits
// as those do that have nothing to do.
func TestWhoWaitsForAClosureAtWorkDoesNotIdle(t *testing.T) {
	for closure, told := range map[string]bool{"rpc.connect.func4": true, "rpc.serve.func4": false} {
		s := newService(t)
		waits := s.place("futex", "@futex rpc.connect rpc.reach rpc.resolve.func1")
		s.idle[waits] = true
		c := s.judge(s.hop(func(c *hop.Closed) {
			c.Wait[waits] = hop.Wait{Time: 0.8e9, Threads: 1, Moments: allMoments}
			c.Wait[s.place("read", "@read rpc.readPreface rpc.read "+closure)] = hop.Wait{Time: 0.8e9, Threads: 1, Moments: allMoments}
		}))
		ranked := Rank(s.stacks, c.Times(), Scale{}, 10)
		if len(ranked) == 0 || (ranked[0].Function == "rpc.connect") != told {
			t.Errorf("%s: %v", closure, names(ranked))
		}
	}
}
