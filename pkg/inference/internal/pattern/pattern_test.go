package pattern

import (
	"testing"

	"github.com/perfscope/perfscope/pkg/inference/internal/attribute"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

func TestAPatternSaysWhatTheTimeIsMadeOf(t *testing.T) {
	classes := threadtrace.NewClasses("amd64")
	nr := func(name string) int32 {
		n, ok := threadtrace.Number("amd64", name)
		if !ok {
			t.Fatalf("no call %q", name)
		}
		return n
	}
	waits := func(name string) attribute.Doing {
		return attribute.Doing{Waiting: 10, ByCall: map[int32]float64{nr(name): 9, nr("write"): 1}}
	}
	with := func(d attribute.Doing, change func(*attribute.Doing)) attribute.Doing { change(&d); return d }
	rate := func(name string, errno int32, past, now, mean float64) CallRate {
		return CallRate{Number: nr(name), Errno: errno, Now: now, Past: past, Mean: mean}
	}
	read := func(n float64) CallRate {
		return CallRate{Number: nr("read"), Now: n, Past: n, BytesNow: 100 * n, BytesPast: 100 * n}
	}
	for _, tc := range []struct {
		want string
		f    Features
	}{
		{SyncWrite, Features{Doing: waits("fdatasync")}},
		{LockWait, Features{Doing: with(waits("futex"), func(d *attribute.Doing) { d.Lock = 8 })}},
		{LockWait, Features{Doing: with(waits("flock"), func(d *attribute.Doing) { d.Stuck = 8 })}},
		{SleepInRequest, Features{Doing: with(waits("clock_nanosleep"), func(d *attribute.Doing) { d.CPU = 1 })}},
		{StuckCall, Features{Doing: with(waits("read"), func(d *attribute.Doing) { d.Stuck = 8 })}},
		{BlockedIO, Features{Doing: waits("connect")}},
		{LongComputation, Features{Doing: attribute.Doing{CPU: 9}, CPUOutsideCalls: 8.5}},
		{BusyFailingCall, Features{Doing: attribute.Doing{CPU: 9}, CPUOutsideCalls: 3, Calls: []CallRate{rate("accept4", 11, 0, 5e4, 900), rate("epoll_wait", 0, 100, 5e4, 900)}}},
		{"", Features{Doing: attribute.Doing{CPU: 9}, CPUOutsideCalls: 3, Calls: []CallRate{rate("newfstatat", 2, 300, 4500, 900), rate("newfstatat", 0, 10, 100, 900), rate("fcntl", 0, 800, 9000, 900)}}},
		{PollWithoutSleep, Features{Doing: attribute.Doing{CPU: 9}, CPUOutsideCalls: 3, Calls: []CallRate{rate("epoll_wait", 0, 100, 1e5, 900)}}},
		{ConnectionChurn, Features{Doing: attribute.Doing{CPU: 9}, Calls: []CallRate{rate("connect", 115, 1, 4000, 9000), rate("close", 0, 10, 4000, 900), rate("socket", 0, 10, 4000, 900)}}},
		// A runtime sets five options on each.
		{ConnectionChurn, Features{Doing: attribute.Doing{CPU: 9}, Calls: []CallRate{
			rate("connect", 115, 0, 450, 2e4), rate("socket", 0, 0, 450, 9000), rate("setsockopt", 0, 1, 2250, 400),
			rate("epoll_ctl", 0, 0, 900, 2000), rate("getpeername", 0, 0, 450, 300), rate("close", 0, 60, 510, 9000),
		}}},
		{"", Features{Doing: attribute.Doing{CPU: 9}, Calls: []CallRate{rate("connect", 0, 0, 30, 2e4), rate("getsockname", 0, 10, 5000, 900)}}},
		{MemoryMapChurn, Features{Doing: attribute.Doing{CPU: 1e8}, Calls: []CallRate{rate("mmap", 0, 1, 4000, 9000), rate("munmap", 0, 10, 4000, 900)}}},
		// A runtime gives memory back now and then; its calls take a hundredth.
		{LongComputation, Features{Doing: attribute.Doing{CPU: 8e7}, CPUOutsideCalls: 7e7, Calls: []CallRate{rate("madvise", 0, 60, 1000, 1000)}}},
		{TinyIO, Features{Doing: attribute.Doing{CPU: 9}, Calls: []CallRate{{Number: nr("read"), Now: 1e5, Past: 100, BytesNow: 1e5, BytesPast: 1e5}}}},
		{DescriptorExhaustion, Features{Doing: attribute.Doing{CPU: 9}, Calls: []CallRate{rate("accept", 24, 0, 1000, 900)}}},
		{SleepInRequest, Features{Doing: waits("epoll_wait"), TimedOut: map[int32]float64{nr("epoll_wait"): 0.8}}},
		{BlockedIO, Features{Doing: waits("poll"), TimedOut: map[int32]float64{nr("poll"): 0.1}}},
		// Threads at a condition, amid work.
		{LockWait, Features{Doing: waits("futex")}},
		{SleepInRequest, Features{Doing: waits("futex"), TimedOut: map[int32]float64{nr("futex"): 0.9}}},
		{StuckCall, Features{Doing: with(waits("futex"), func(d *attribute.Doing) { d.Stuck = 8 }), TimedOut: map[int32]float64{nr("futex"): 0.2}}},
		{PeerUnreachable, Features{OnlyRefusals: true, Calls: []CallRate{rate("connect", 111, 0, 8, 900)}}},
		// Each request that is read finds no peer; or tries one after the other.
		{PeerUnreachable, Features{OnlyRefusals: true, Calls: []CallRate{rate("connect", 115, 0, 80, 900), rate("connect", 111, 0, 80, 900), read(80)}}},
		{ConnectionChurn, Features{OnlyRefusals: true, Calls: []CallRate{rate("connect", 115, 0, 800, 900), rate("connect", 111, 0, 800, 900), read(80)}}},
		{ConnectionChurn, Features{OnlyRefusals: true, Calls: []CallRate{rate("connect", 111, 0, 800, 900), read(80)}}},
		{ResourceExhaustion, Features{OnlyRefusals: true, Calls: []CallRate{rate("mmap", 12, 0, 8, 900)}}},
		{DescriptorExhaustion, Features{OnlyRefusals: true, Calls: []CallRate{rate("accept", 24, 0, 8, 900)}}},
		{"", Features{}},
		{TinyIO, Features{Doing: attribute.Doing{CPU: 9}, Calls: []CallRate{rate("stat", 0, 10, 5000, 900)}}},
		{"", Features{Doing: attribute.Doing{CPU: 9}, Calls: []CallRate{rate("getsockname", 0, 10, 5000, 900)}}},
	} {
		t.Run(tc.want, func(t *testing.T) {
			tc.f.Classes = classes
			if got := tc.f.Name(); got != tc.want {
				t.Errorf("pattern %q, want %q", got, tc.want)
			}
		})
	}
}
