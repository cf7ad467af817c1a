package window

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/perfscope/perfscope/internal/suspect"
	"github.com/perfscope/perfscope/internal/syscalltrace"
)

// crowd is eighty seconds of a service with many threads, functions and
// callers of each, whose figures are no round numbers, and which becomes slow
// in several places at once in the last third.
func crowd(t *testing.T) (seconds [][]*syscalltrace.Batch) {
	rng := rand.New(rand.NewPCG(9, 10))
	var stacks []syscalltrace.Stack
	for i := range 96 {
		stacks = append(stacks, stackOf(fmt.Sprintf("@write put%d handle%d serve%d loop main", i%12, i%8, i)))
	}
	numbers := []int32{number(t, "write"), number(t, "fdatasync"), number(t, "epoll_wait")}
	for s := range int64(80) {
		var now []*syscalltrace.Batch
		slow := s >= 60
		for id := range int32(6) {
			b := &syscalltrace.Batch{ThreadID: 100 + id, ThreadName: "worker", Stacks: stacks}
			at := epoch + s*second
			for range 40 {
				at += 1e6 + rng.Int64N(second/50)
				e := syscalltrace.Event{Time: at, Duration: 3e3 + rng.Int64N(4e5), Number: numbers[rng.IntN(len(numbers))], Return: 17, Stack: 1 + rng.Uint32N(96)}
				switch rng.IntN(4) {
				case 0:
					e.Return = -11 - rng.Int32N(2)
					if slow {
						e.Return = -22 - rng.Int32N(7) // EMFILE and ENOSPC among them
					}
				case 1:
					e.Kind, e.Duration, e.Number, e.Return = syscalltrace.KindSample, second/49, syscalltrace.NoCall, 0
				case 2:
					e.Kind, e.Duration, e.Return = syscalltrace.KindBlocked, second/5, 0
					e.Elapsed = rng.Int64N(3e8)
					if slow {
						e.Elapsed += rng.Int64N(2 * second)
					}
				}
				b.Events = append(b.Events, e)
				if slow && e.Kind != syscalltrace.KindCall {
					e.Time++
					e.Stack = 1 + e.Stack%7
					b.Events = append(b.Events, e)
				}
			}
			now = append(now, b)
		}
		seconds = append(seconds, now)
	}
	return seconds
}

// Maps are gone through in another order each time; figures that depend on it
// differ in their last bits, and sometimes that decides.
func TestTheSameEventsGiveTheSameFiguresToTheLastBit(t *testing.T) {
	type outcome struct {
		found []suspect.Anomaly
		stats []Stats
	}
	seconds := crowd(t)
	judge := func() (o outcome) {
		s := NewService(DefaultConfig(), "amd64")
		for i, batches := range seconds {
			start := epoch + int64(i)*second
			for _, b := range batches {
				s.AddBatch(b)
			}
			s.AddCoverage(syscalltrace.Coverage{
				Start: start, End: start + second - 1234567, Traced: time.Second, CPUTime: 1234567890,
				SamplePeriod: time.Second / 49, SnapshotPeriod: 200 * time.Millisecond, Threads: 6, Functions: 500,
				Dropped: map[string]uint64{"ring_overwrite": uint64(i % 2)},
			})
			o.found = append(o.found, s.Advance(start)...)
			o.stats = append(o.stats, s.Stats())
		}
		return o
	}
	want := judge()
	if len(want.found) == 0 {
		t.Fatal("nothing was found: the test compares nothing")
	}
	for range 4 {
		got := judge()
		for i := range want.stats {
			if got.stats[i] != want.stats[i] {
				t.Fatalf("second %d: %+v, and again %+v", i, want.stats[i], got.stats[i])
			}
		}
		if !reflect.DeepEqual(got.found, want.found) {
			t.Fatalf("%+v\nand again\n%+v", want.found, got.found)
		}
	}
}
