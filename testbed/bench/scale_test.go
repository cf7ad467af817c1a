package bench

import (
	"testing"
	"time"
)

func TestGCTime(t *testing.T) {
	log := `2026-11-25T00:00:00Z	info	Everything is ready.
gc 1 @0.500s 1%: 0.02+1.0+0.01 ms clock, 0.04+0.5/1.0/0+0.02 ms cpu, 4->4->1 MB, 4 MB goal, 0 MB stacks, 0 MB globals, 2 P
gc 2 @2.500s 1%: 0.02+1.0+0.01 ms clock, 0.04+0.5/1.0/0.25+0.01 ms cpu, 4->4->1 MB, 4 MB goal, 0 MB stacks, 0 MB globals, 2 P
gc 3 @9.000s 1%: 0.02+1.0+0.01 ms clock, 0.04+0.5/1.0/0+0.02 ms cpu, 4->4->1 MB, 4 MB goal, 0 MB stacks, 0 MB globals, 2 P (forced)
`
	if got, want := gcTime(log, time.Second, 9*time.Second), 1800*time.Microsecond; got != want {
		t.Errorf("%v, want %v", got, want)
	}
	if got := gcTime(log, 0, 10*time.Second); got != 1560*time.Microsecond+1800*time.Microsecond+1560*time.Microsecond {
		t.Errorf("%v of all three", got)
	}
}
