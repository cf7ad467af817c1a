package stack_test

import (
	"testing"
	"time"

	"github.com/perfscope/perfscope/internal/stack"
	"github.com/perfscope/perfscope/internal/stack/stacktest"
)

// BenchmarkUnwind walks the same stacks again and again: the cost per stack
// of a busy server, whose code addresses repeat.
func BenchmarkUnwind(b *testing.B) {
	stacktest.NeedRoot(b)
	servers := []struct {
		name  string
		start func() *stacktest.Server
	}{
		{"redis", func() *stacktest.Server { return stacktest.Redis(b) }},
		{"go", func() *stacktest.Server { return stacktest.GoServer(b, "testdata/goserver") }},
	}
	for _, sv := range servers {
		s := sv.start()
		time.Sleep(200 * time.Millisecond)
		regs, data, err := stacktest.Capture(s.PID, s.PID, stackBytes)
		if err != nil {
			b.Fatal(err)
		}
		u := stack.NewUnwinder(stack.Options{})
		st, err := u.Unwind(int32(s.PID), regs, stack.Copy{Bytes: data})
		if err != nil {
			b.Fatal(err)
		}
		b.Run(sv.name, func(b *testing.B) {
			for b.Loop() {
				if _, err := u.Unwind(int32(s.PID), regs, stack.Copy{Bytes: data}); err != nil {
					b.Fatal(err)
				}
			}
			perFrame := float64(b.Elapsed().Nanoseconds()) / float64(b.N) / float64(len(st.Frames))
			b.ReportMetric(perFrame, "ns/frame")
		})
		b.Run(sv.name+"/first", func(b *testing.B) {
			for b.Loop() {
				if _, err := stack.NewUnwinder(stack.Options{}).Unwind(int32(s.PID), regs, stack.Copy{Bytes: data}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
