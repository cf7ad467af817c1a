package interpreter

import (
	"strconv"
	"testing"
)

// BenchmarkLook looks at a thread 30 functions deep.
func BenchmarkLook(b *testing.B) {
	var r running
	startScript(b, &r, "/usr/bin/python3", "testdata/threads.py")
	reader := newTestReader()
	for id, told := range r.Threads {
		if len(told) < 30 {
			continue
		}
		tid, _ := strconv.Atoi(id)
		seen := waiting(b, r.PID, int32(tid)) //nolint:gosec // a thread id
		for b.Loop() {
			calls, err := reader.Look(r.PID, int32(tid), seen) //nolint:gosec // a thread id
			if err != nil || len(calls) == 0 {
				b.Fatal(err)
			}
			reader.processes[r.PID].budget = readsAtOnce
		}
	}
}
