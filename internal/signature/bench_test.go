package signature

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"github.com/perfscope/perfscope/pkg/threadtrace"
)

func BenchmarkMiner(b *testing.B) {
	b.Run("a little server", func(b *testing.B) {
		var traces []*trace
		for thread := range int32(16) {
			traces = append(traces, requests(b, thread, 20_000, rand.New(rand.NewPCG(uint64(thread), 1))))
		}
		benchmarkMiner(b, traces)
	})
	b.Run("300 functions, no two requests alike", func(b *testing.B) { benchmarkMiner(b, varied(b, 16, 20_000)) })
}

// varied is a large program: 300 functions that call each other and make calls
// of their own now and again, in requests that are hardly ever the same.
func varied(t testing.TB, threads, turns int) []*trace {
	r := rand.New(rand.NewPCG(1, 9))
	calls := strings.Fields("read write openat close lseek newfstatat mmap munmap brk ioctl fcntl getpid gettid " +
		"sendto writev sendfile pread64 pwrite64 fdatasync unlink rename stat getuid madvise setsockopt getsockname")
	type function struct{ stack, calls string }
	functions := make([]function, 300)
	for i := range functions {
		functions[i].stack = "main loop"
		if i > 0 {
			functions[i].stack = functions[r.IntN(i)].stack
		}
		functions[i].stack += fmt.Sprintf(" f%03d", i)
		for range 1 + r.IntN(4) {
			functions[i].calls += " " + calls[r.IntN(len(calls))]
		}
	}
	var traces []*trace
	for thread := range threads {
		tr := newTrace(t, int32(thread+1))
		for range turns {
			tr.do("main loop", "epoll_wait")
			for range 1 + r.IntN(8) {
				// Some are called far more often than others.
				f := functions[int(float64(len(functions))*math.Pow(r.Float64(), 3))]
				tr.do(f.stack, f.calls)
			}
		}
		traces = append(traces, tr)
	}
	return traces
}

func benchmarkMiner(b *testing.B, traces []*trace) {
	n := 0
	for _, tr := range traces {
		n += len(tr.Events)
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	b.ResetTimer()
	for range b.N {
		m := NewMiner(arch, Sequences)
		for fed := 0; fed < 10_000_000; fed += n {
			for _, tr := range traces {
				m.Add(&tr.Batch)
			}
		}
		m.Finish()
		f := m.Mine(nil)
		b.ReportMetric(float64(m.Progress().Distinct), "sequences")
		b.ReportMetric(float64(len(f.Functions)), "functions")
	}
	b.StopTimer()
	runtime.ReadMemStats(&after)
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s/10M-events")
	b.ReportMetric(float64(after.HeapSys-before.HeapSys)/(1<<20), "MiB-more-heap")
}

func BenchmarkMatcher(b *testing.B) {
	tr := requests(b, 1, 20_000, rand.New(rand.NewPCG(5, 5)))
	b.Run("a little server", func(b *testing.B) { benchmark(b, mine(nil, tr), tr.Events) })
	b.Run("2000 functions", func(b *testing.B) { benchmark(b, randomFile(rand.New(rand.NewPCG(6, 6)), 2000, 60), tr.Events) })
}

func benchmark(b *testing.B, f *File, events []threadtrace.Event) {
	m := NewMatcher(f)
	var th Thread
	told := 0
	for i := range b.N {
		if m.Next(&th, &events[i%len(events)]) != nil {
			told++
		}
	}
	b.ReportMetric(float64(told)/float64(b.N), "told/event")
	b.ReportMetric(float64(m.States()), "states")
}
