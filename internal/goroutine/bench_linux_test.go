//go:build linux

package goroutine_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/perfscope/perfscope/internal/rootfs"
	"github.com/perfscope/perfscope/internal/stack"
)

// BenchmarkLook is a look with the names of its stacks; cpu-us/op is what it takes
// of this process, whatever else runs.
func BenchmarkLook(b *testing.B) {
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	for _, many := range []int{100, 10_000, 100_000} {
		b.Run(fmt.Sprint(many), func(b *testing.B) {
			mem := memory{&rootfs.Door{}, start(b, self, many)}
			u := stack.NewUnwinder(stack.Options{})
			table := locate(b, u, mem)
			random := rand.New(rand.NewPCG(1, 2))
			runtime.GC()
			begun := cpuTime()
			for b.Loop() {
				look, err := table.Look(mem, random)
				if err != nil {
					b.Fatal(err)
				}
				for _, g := range look.Stacks {
					if _, err := u.Unwind(mem.pid, stack.Registers{IP: g.PC, SP: g.SP, BP: g.BP}, stack.Copy{Bytes: g.Stack}); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64((cpuTime()-begun).Microseconds())/float64(b.N), "cpu-us/op")
		})
	}
}

// BenchmarkAgain is another look at goroutines that are followed, of which none has moved.
func BenchmarkAgain(b *testing.B) {
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	for _, many := range []int{8, 32} {
		b.Run(fmt.Sprint(many), func(b *testing.B) {
			mem := memory{&rootfs.Door{}, start(b, self, many)}
			table := locate(b, stack.NewUnwinder(stack.Options{}), mem)
			look, err := table.Look(mem, rand.New(rand.NewPCG(1, 2)))
			if err != nil {
				b.Fatal(err)
			}
			runtime.GC()
			begun := cpuTime()
			for b.Loop() {
				if _, err := table.Again(mem, look.Stacks[:min(many, len(look.Stacks))]); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64((cpuTime()-begun).Nanoseconds())/1e3/float64(b.N), "cpu-us/op")
		})
	}
}

func cpuTime() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
