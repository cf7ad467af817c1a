//go:build linux && (amd64 || arm64)

package capture

import (
	"slices"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
)

// BenchmarkCallCost measures what a system call costs, side by side: bare,
// under two empty programs (the floor for every tracer of this kind), under two
// that only read the clock (the floor for one that tells durations), in a process
// that is not traced while another could be, and traced. It compares
// within rounds and takes the median, so that a busy machine spoils little:
//
//	go test -run '^$' -bench CallCost -benchtime 1x ./internal/capture
func BenchmarkCallCost(b *testing.B) {
	// Short runs mostly fit between two interruptions.
	const calls, rounds = 4000, 101
	cfg := testConfig()
	cfg.Continuous, cfg.StackEvery = false, 0
	plain, r := startTracer(b, cfg)
	r.discard = true
	cfg.StackEvery, cfg.StackRate = 16, DefaultConfig().StackRate
	stacks, r := startTracer(b, cfg)
	r.discard = true

	h := startHelper(b, "getppid 4000")
	h.say()
	h.hear()
	run := func() float64 {
		h.say()
		return float64(atoi(b, h.hear()[0])) / calls
	}
	traced := func(tr *Tracer, target bool) float64 {
		if target {
			must(b, tr.AddProcess(h.pid()))
		}
		must(b, tr.Attach())
		ns := run()
		must(b, tr.Detach())
		must(b, tr.RemoveProcess(h.pid()))
		return ns
	}
	modes := []struct {
		name string
		ns   func() float64
	}{
		{"bare", run},
		{"empty-pair", func() float64 {
			defer attachPair(b, false)()
			return run()
		}},
		{"clock-pair", func() float64 {
			defer attachPair(b, true)()
			return run()
		}},
		{"untraced", func() float64 { return traced(plain, false) }},
		{"traced", func() float64 { return traced(plain, true) }},
		{"traced+stacks/16", func() float64 { return traced(stacks, true) }},
	}
	for b.Loop() {
		ns := make([][]float64, len(modes))    // of a call
		added := make([][]float64, len(modes)) // to the bare call of the round
		for range rounds {
			for i, m := range modes {
				ns[i] = append(ns[i], m.ns())
				added[i] = append(added[i], ns[i][len(ns[i])-1]-ns[0][len(ns[0])-1])
			}
		}
		at := func(sample []float64, part float64) float64 {
			slices.Sort(sample)
			return sample[int(float64(len(sample)-1)*part)]
		}
		bare, bareQuiet := at(ns[0], 0.5), at(ns[0], 0.1)
		b.ReportMetric(bare, "ns:bare")
		b.Logf("%-18s median %4.0f ns, in quiet moments %4.0f ns", modes[0].name, bare, bareQuiet)
		var floor, floorQuiet float64
		for i, m := range modes[1:] {
			// The tenth fastest of a hundred is what a call costs when
			// nobody else is in the way.
			median, quiet := at(added[i+1], 0.5), at(ns[i+1], 0.1)-bareQuiet
			if i == 0 {
				floor, floorQuiet = median, quiet
			}
			b.ReportMetric(median, "ns-added:"+m.name)
			b.Logf("%-18s adds   %4.0f ns, in quiet moments %4.0f ns; to the empty pair as %.2f, %.2f to 1",
				m.name, median, quiet, median/floor, quiet/floorQuiet)
		}
	}
	b.Logf("dropped: %v and %v", plain.Stats().Dropped, stacks.Stats().Dropped)
}

// attachPair attaches a program to each hook that does nothing, or no more than
// read the clock, and returns what takes them away.
func attachPair(b *testing.B, clock bool) func() {
	code := asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()}
	if clock {
		code = append(asm.Instructions{asm.FnKtimeGetNs.Call()}, code...)
	}
	var links []link.Link
	var programs []*ebpf.Program
	for _, hook := range []string{"sys_enter", "sys_exit"} {
		p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
			Name: "pair", Type: ebpf.Tracing, AttachType: ebpf.AttachTraceRawTp, AttachTo: hook, License: "Dual BSD/GPL",
			Instructions: code,
		})
		must(b, err)
		l, err := link.AttachTracing(link.TracingOptions{Program: p})
		must(b, err)
		programs, links = append(programs, p), append(links, l)
	}
	return func() {
		for _, l := range links {
			_ = l.Close()
		}
		for _, p := range programs {
			_ = p.Close()
		}
	}
}
