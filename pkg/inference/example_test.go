package inference_test

import (
	"fmt"
	"time"

	"github.com/perfscope/perfscope/pkg/inference"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// record is what a thread did in a second, packed as a receiver packs it: requests
// that are read and answered, and samples of the functions that were on a CPU.
func record(start time.Time, slow bool) []byte {
	second, period := start.UnixNano(), int64(time.Second/49)
	frame := func(name string) threadtrace.Frame { return threadtrace.Frame{Function: name, Module: "shop"} }
	b := &threadtrace.Batch{ThreadID: 7, ThreadName: "worker", Stacks: []threadtrace.Stack{
		{Complete: true, Frames: []threadtrace.Frame{frame("render"), frame("serve"), frame("main")}},
		{Complete: true, Frames: []threadtrace.Frame{frame("match"), frame("search"), frame("serve"), frame("main")}},
	}}
	read, _ := threadtrace.Number(threadtrace.ArchAMD64, "read")
	write, _ := threadtrace.Number(threadtrace.ArchAMD64, "write")
	for i := range int64(49) {
		at := second + i*period
		b.Events = append(b.Events,
			threadtrace.Event{Time: at, Duration: 2000, Number: read, Return: 100},
			threadtrace.Event{Time: at + 5000, Duration: 4000, Number: write, Return: 2000})
		sample := threadtrace.Event{Kind: threadtrace.KindSample, Time: at + 9000, Duration: period, Number: threadtrace.NoCall}
		switch {
		case i%10 == 0:
			sample.Stack = 1
		case slow && i%2 == 1:
			sample.Stack = 2
		default:
			continue
		}
		b.Events = append(b.Events, sample)
	}
	block, err := threadtrace.Encode(threadtrace.ArchAMD64, b)
	if err != nil {
		panic(err)
	}
	return block
}

// A program can replay recorded blocks without a Collector. The analyzer learns what is
// normal for a minute; then a function is slow.
func Example() {
	cfg := inference.DefaultConfig()
	if err := cfg.Validate(); err != nil {
		panic(err)
	}
	analyzer := inference.NewAnalyzer(cfg, threadtrace.ArchAMD64)
	start := time.Unix(1_700_000_000, 0)
	for now, second := start, 0; second < 80; second++ {
		_, batch, err := threadtrace.Decode(record(now, second >= 60))
		if err != nil {
			panic(err)
		}
		analyzer.AddBatch(batch)
		cpu := 100 * time.Millisecond
		if second >= 60 {
			cpu = 600 * time.Millisecond
		}
		analyzer.AddCoverage(threadtrace.Coverage{
			Start: now.UnixNano(), End: now.Add(time.Second).UnixNano(), Traced: time.Second, CPUTime: cpu,
			SamplePeriod: time.Second / 49, SnapshotPeriod: 200 * time.Millisecond, Threads: 1,
		})
		now = now.Add(time.Second)
		for _, anomaly := range analyzer.Advance(now.UnixNano()) {
			if anomaly.Repeat {
				continue
			}
			first := anomaly.Suspects[0]
			fmt.Printf("after %d s: %s in %s, %s\n", second+1, first.Function, first.Module, anomaly.Pattern)
		}
	}
	// Output: after 65 s: match in shop, long_computation
}
