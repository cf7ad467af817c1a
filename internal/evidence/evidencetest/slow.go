// Package evidencetest makes evidence for tests, by the real inference.
package evidencetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/perfscope/perfscope/internal/cleantext"
	"github.com/perfscope/perfscope/internal/evidence"
	"github.com/perfscope/perfscope/pkg/inference"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

const (
	second = int64(time.Second)
	epoch  = int64(1_700_000_000) * second
)

// Slow lives for so many hops with so many stacks, and is slow in the last six; its
// functions are named by name.
func Slow(t testing.TB, hops, stacks int, name func(int) string) *evidence.Detail {
	t.Helper()
	analyzer := inference.NewAnalyzer(inference.DefaultConfig(), "amd64")
	var anomaly *inference.Anomaly
	frame := func(function string) threadtrace.Frame {
		return threadtrace.Frame{Function: function, Module: "server"}
	}
	for s := range int64(5 * hops) {
		now := epoch + s*second
		fault := s >= int64(5*(hops-6))
		b := &threadtrace.Batch{ThreadID: 1}
		samples := 10
		if stacks > 100 {
			samples = stacks / 5
		}
		for i := range samples {
			n := (int(s%5)*samples + i) % stacks
			b.Stacks = append(b.Stacks, threadtrace.Stack{Frames: []threadtrace.Frame{
				frame(name(n % 1024)), frame(fmt.Sprintf("handler_%d", n%97)), frame(fmt.Sprintf("route_%d", n%11)), frame("main"),
			}})
			b.Events = append(b.Events, threadtrace.Event{Kind: threadtrace.KindSample, Time: now + int64(i)*second/int64(samples), Duration: second / 5 / int64(samples), Stack: uint32(i + 1)})
		}
		cpu := time.Second / 5
		if fault {
			b.Stacks = append(b.Stacks, threadtrace.Stack{Frames: []threadtrace.Frame{frame(name(0) + "slow"), frame("main")}})
			for i := range 25 {
				b.Events = append(b.Events, threadtrace.Event{Kind: threadtrace.KindSample, Time: now + int64(i)*second/25, Duration: second / 50, Stack: uint32(len(b.Stacks))})
			}
			cpu += time.Second / 2
		}
		call, _ := threadtrace.Number("amd64", "read")
		for i := range int64(50) {
			b.Events = append(b.Events, threadtrace.Event{Kind: threadtrace.KindCall, Number: call, Time: now + i*second/50, Duration: 1000, Return: 10})
		}
		analyzer.AddBatch(b)
		analyzer.AddCoverage(threadtrace.Coverage{Start: now, End: now + second, Traced: time.Second, SamplePeriod: time.Second / 5 / time.Duration(samples), CPUTime: cpu, Threads: 1})
		for _, a := range analyzer.Advance(now + second) {
			anomaly = &a
		}
	}
	if anomaly == nil {
		t.Fatal("nothing is abnormal")
	}
	snapshot := analyzer.Snapshot()
	s := evidence.Service{
		// Who makes these values has cleaned them, as NewDetail does with its own.
		ID: "server-1", Name: cleantext.Clean(name(0), cleantext.MaxName), Host: cleantext.Clean(name(1), cleantext.MaxName), State: evidence.Judged,
		Hops: evidence.HopsOf(snapshot.Figures), Anomalies: []evidence.Anomaly{evidence.AnomalyOf(anomaly)},
	}
	return evidence.NewDetail(s, snapshot, func(id string) string { return id })
}
