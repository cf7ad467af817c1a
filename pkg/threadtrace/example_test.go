package threadtrace_test

import (
	"fmt"

	"github.com/perfscope/perfscope/pkg/threadtrace"
)

func ExampleDecode() {
	fsync, _ := threadtrace.Number(threadtrace.ArchAMD64, "fsync")
	block, err := threadtrace.Encode(threadtrace.ArchAMD64, &threadtrace.Batch{
		ThreadID: 7, ThreadName: "writer",
		Stacks: []threadtrace.Stack{{Complete: true, Frames: []threadtrace.Frame{
			{Function: "fsync", Module: "libc.so.6", Origin: threadtrace.OriginLibrary},
			{Function: "save", Module: "shop"}, {Function: "main", Module: "shop"},
		}}},
		Events: []threadtrace.Event{{Time: 1_700_000_000e9, Duration: 12e6, Number: fsync, Stack: 1}},
	})
	if err != nil {
		panic(err)
	}
	arch, batch, err := threadtrace.Decode(block)
	if err != nil {
		panic(err)
	}
	for _, e := range batch.Events {
		caller := batch.Stacks[e.Stack-1].Frames[1]
		fmt.Printf("thread %d (%s): %s took %d ms in %s\n", batch.ThreadID, batch.ThreadName, threadtrace.Name(arch, e.Number), e.Duration/1e6, caller.Function)
	}
	_, _, err = threadtrace.Decode(block[:20])
	fmt.Println(err != nil)
	// Output:
	// thread 7 (writer): fsync took 12 ms in save
	// true
}
