package inference

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// wide is a service with a thousand cells: 440 functions on CPU and 40 places of waits amid
// work, each with its node, under callers that are shared. It uses four CPUs; what is
// sampled, and who waits where, is up to chance, as it is of a real one.
type wide struct {
	rng                       *rand.Rand
	sampled, waits            []threadtrace.Stack
	home                      threadtrace.Stack
	read, write, futex, epoll int32
	// others are further calls of a request, which move nothing.
	others  []int32
	machine threadtrace.Machine
	thread  *threadtrace.Batch
	numbers map[*threadtrace.Stack]uint32
}

func newWide(b *testing.B) *wide {
	b.Helper()
	const functions, places = 440, 40
	w := &wide{
		rng: rand.New(rand.NewPCG(1, 0)), home: stackOf("@epoll_wait wait serve loop main"),
		read: number(b, "read"), write: number(b, "write"), futex: number(b, "futex"), epoll: number(b, "epoll_wait"),
		machine: threadtrace.Machine{Readings: quietMachine(), Users: []threadtrace.User{{Of: threadtrace.MeasureHostBusy, Name: "cron", PID: 7, Value: 1e6}}},
	}
	for _, name := range []string{"openat", "close", "fstat", "lseek", "getpid", "clock_gettime", "epoll_ctl", "fcntl", "mmap", "munmap", "rt_sigprocmask", "getsockname"} {
		w.others = append(w.others, number(b, name))
	}
	for i := range functions {
		w.sampled = append(w.sampled, stackOf(fmt.Sprintf("step%d part%d handle%d serve loop main", i, i%20, i%8)))
	}
	for i := range places {
		w.waits = append(w.waits, stackOf(fmt.Sprintf("@pthread_mutex_lock update%d part%d handle%d serve loop main", i, i%20, i%8)))
	}
	return w
}

// live delivers a second of it.
func (w *wide) live(a *Analyzer, start int64) {
	cpu := time.Duration(0)
	for id := range int32(benchThreads) {
		w.thread = &threadtrace.Batch{ThreadID: 100 + id, ThreadName: "worker"}
		w.numbers = map[*threadtrace.Stack]uint32{}
		cpu += w.work(start)
		w.look(start, 100+id)
		a.AddBatch(w.thread)
	}
	w.machine.Start, w.machine.End = start, start+second
	a.AddMachine(&w.machine)
	a.AddCoverage(threadtrace.Coverage{
		Start: start, End: start + second, Traced: time.Second, SamplePeriod: time.Duration(period),
		SnapshotPeriod: time.Duration(tick), CPUTime: cpu, Threads: benchThreads, Functions: 1000,
	})
}

// stack is the number of a stack in the batch at hand.
func (w *wide) stack(of *threadtrace.Stack) uint32 {
	if w.numbers[of] == 0 {
		w.thread.Stacks = append(w.thread.Stacks, *of)
		w.numbers[of] = uint32(len(w.thread.Stacks))
	}
	return w.numbers[of]
}

// work is a second of a thread that takes a request every five samples, reads and writes,
// and is on a CPU for a quarter of the time, which it returns.
func (w *wide) work(start int64) (cpu time.Duration) {
	b := w.thread
	for i := range second / period {
		at := start + i*period
		if i%5 == 0 {
			b.Events = append(b.Events, threadtrace.Event{Time: at - period/2, Duration: period / 2, Number: w.epoll, Return: 1})
		}
		function := &w.sampled[w.rng.IntN(len(w.sampled))]
		read := threadtrace.Event{Time: at, Duration: 3e3, Number: w.read, Return: 100}
		if i%8 == 0 {
			read.Stack = w.stack(function)
		}
		b.Events = append(b.Events, read, threadtrace.Event{Time: at + 1e6, Duration: 4e3, Number: w.write, Return: 1000},
			threadtrace.Event{Time: at + 15e5, Duration: 2e3, Number: w.others[int(i)%len(w.others)]})
		if w.rng.IntN(4) == 0 {
			cpu += time.Duration(period)
			b.Events = append(b.Events, threadtrace.Event{Kind: threadtrace.KindSample, Time: at + 2e6, Duration: period, Number: threadtrace.NoCall, Stack: w.stack(function)})
		}
	}
	return cpu
}

// look has the looks of a second at a thread: a quarter of those that find it waiting are
// at a lock, whose holder wakes it.
func (w *wide) look(start int64, id int32) {
	b := w.thread
	for i := range second / tick {
		if w.rng.IntN(4) == 0 {
			continue // it runs
		}
		e := threadtrace.Event{Kind: threadtrace.KindBlocked, Time: start + i*tick, Duration: tick, Elapsed: 5e6, Number: w.epoll, Stack: w.stack(&w.home)}
		if w.rng.IntN(4) == 0 {
			at := &w.waits[w.rng.IntN(len(w.waits))]
			e.Number, e.Stack = w.futex, w.stack(at)
			b.Wakings = append(b.Wakings, threadtrace.Waking{
				Time: e.Time + 2e6, Start: e.Time - 5e6, Number: w.futex, By: threadtrace.WakerThread, Process: 100, Thread: 100 + (id+1)%benchThreads,
				Name: "worker", Stack: e.Stack, WakerStack: w.stack(&w.sampled[w.rng.IntN(len(w.sampled))]),
			})
		}
		b.Events = append(b.Events, e)
	}
}

const (
	// services is how many are judged on one core, each once a hop.
	services = 256
	// inTurn is how many of them live here: what a processor's own caches hold of one is gone
	// until it is judged again.
	inTurn = 16
)

// alive is a wide service and its analyzer.
type alive struct {
	*wide
	a *Analyzer
	// now is up to when it lived.
	now int64
}

func (s *alive) live(seconds time.Duration) {
	for range seconds {
		s.wide.live(s.a, s.now)
		s.now += second
	}
}

// BenchmarkHop judges a hop of a service with a thousand cells, nine tenths of which are met
// in it, and a whole window of past: ahead, and when it is over, with what is accounted of it then.
func BenchmarkHop(b *testing.B) {
	cfg := DefaultConfig()
	whole := cfg.Hop / time.Second
	half := (whole + 1) / 2
	before := heap()
	list := make([]*alive, inTurn)
	for i := range list {
		s := &alive{wide: newWide(b), a: NewAnalyzer(cfg, "amd64"), now: epoch}
		for range cfg.Window / cfg.Hop {
			s.live(whole)
			s.a.Advance(s.now)
		}
		if cells := s.a.habit.index.Len(); cells < 1000 {
			b.Fatalf("%d cells", cells)
		}
		list[i] = s
	}
	held := heap() - before
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var used time.Duration
	timed := func(judge func()) {
		b.StartTimer()
		from := threadCPU(b)
		judge()
		used += threadCPU(b) - from
		b.StopTimer()
	}
	// Others live while one waits to be judged.
	step := func(n int) {
		list[n%inTurn].live(half)
		if n >= inTurn/3 {
			s := list[(n-inTurn/3)%inTurn]
			timed(func() {
				if found, ok := s.a.Ahead(s.now); ok {
					b.Fatal("a steady load is abnormal: ", found.Summary)
				}
			})
			s.live(whole - half)
		}
		if n >= 2*inTurn/3 {
			s := list[(n-2*inTurn/3)%inTurn]
			timed(func() {
				if found := s.a.Advance(s.now); len(found) > 0 {
					b.Fatal("a steady load is abnormal: ", found[0].Summary)
				}
				_ = s.a.Stats()
			})
		}
	}
	n := 0
	for range inTurn {
		step(n)
		n++
	}
	used = 0
	b.ReportAllocs()
	b.StartTimer()
	for b.Loop() {
		b.StopTimer()
		step(n)
		n++
		b.StartTimer()
	}
	perHop := float64(used.Nanoseconds()) / float64(b.N)
	b.ReportMetric(perHop/1e3, "cpu-us/hop")
	b.ReportMetric(float64(held)/inTurn/(1<<20), "MiB/service")
	b.ReportMetric(100*services*perHop/float64(cfg.Hop), "%core/256services")
}

// BenchmarkKeep has what is known of such a service made ready to be written, and encoded.
func BenchmarkKeep(b *testing.B) {
	cfg := DefaultConfig()
	now := epoch
	w := newWide(b)
	a := NewAnalyzer(cfg, "amd64")
	for range cfg.Window / cfg.Hop {
		for range cfg.Hop / time.Second {
			w.live(a, now)
			now += second
		}
		a.Advance(now)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	b.ReportAllocs()
	size := 0
	from := threadCPU(b)
	for b.Loop() {
		data, err := a.Memory().Encode()
		if err != nil {
			b.Fatal(err)
		}
		size = len(data)
	}
	perWrite := float64((threadCPU(b) - from).Nanoseconds()) / float64(b.N)
	b.ReportMetric(perWrite/1e6, "cpu-ms/write")
	b.ReportMetric(float64(size), "bytes")
	b.ReportMetric(100*services*perWrite/float64(10*time.Minute), "%core/256services")
}

// heap is how much memory is in use, in bytes.
func heap() uint64 {
	var now runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&now)
	return now.HeapAlloc
}

// threadCPU is the CPU time of the calling thread: others use the machine, too.
func threadCPU(b *testing.B) time.Duration {
	b.Helper()
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &now); err != nil {
		b.Fatal(err)
	}
	return time.Duration(now.Nano())
}
