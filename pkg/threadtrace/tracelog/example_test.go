package tracelog_test

import (
	"fmt"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/perfscope/perfscope/pkg/threadtrace"
	"github.com/perfscope/perfscope/pkg/threadtrace/tracelog"
)

func ExampleDecode() {
	read, _ := threadtrace.Number(threadtrace.ArchAMD64, "read")
	records := plog.NewLogRecordSlice()
	tracelog.AppendBatch(records, tracelog.FormatPacked, threadtrace.ArchAMD64, &threadtrace.Batch{
		ThreadID: 7, ThreadName: "worker",
		Events: []threadtrace.Event{{Time: 1_700_000_000e9, Duration: 2e3, Number: read, Return: 100}},
	})
	tracelog.AppendCoverage(records, &threadtrace.Coverage{Start: 1_700_000_000e9, End: 1_700_000_001e9, Traced: time.Second})
	errs := tracelog.Decode(records, tracelog.Handler{
		Batch: func(arch string, b *threadtrace.Batch) {
			for _, e := range b.Events {
				fmt.Printf("thread %d: %s returned %d\n", b.ThreadID, threadtrace.Name(arch, e.Number), e.Return)
			}
		},
		Coverage: func(c *threadtrace.Coverage) {
			fmt.Printf("%d s were traced\n", int(c.Traced.Seconds()))
		},
	})
	fmt.Println(len(errs), "errors")
	// Output:
	// 1 s were traced
	// thread 7: read returned 100
	// 0 errors
}
