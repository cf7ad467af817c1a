//go:build linux && (amd64 || arm64)

package capture

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

func init() {
	helpers["compete"] = func(args []string, _ *bufio.Reader) {
		n, _ := strconv.Atoi(args[0])
		shareCPU()
		buf := make([]byte, 1<<20)
		before := runDelayOfThread()
		for range n {
			// The kernel computes and lets others have the CPU.
			unix.Syscall(unix.SYS_GETRANDOM, uintptr(unsafe.Pointer(unsafe.SliceData(buf))), uintptr(len(buf)), 0)
		}
		fmt.Println(unix.Gettid(), before, runDelayOfThread())
	}
	helpers["pour"] = func(_ []string, in *bufio.Reader) {
		var p [2]int
		if err := unix.Pipe(p[:]); err != nil {
			panic(err)
		}
		// The reader has the other CPU: each time it makes room, the writer is
		// runnable and another thread has the CPU.
		go func() {
			buf := make([]byte, 4096)
			for {
				_, _ = unix.Read(p[0], buf)
				time.Sleep(time.Millisecond)
			}
		}()
		shareCPU()
		fmt.Println(unix.Gettid())
		buf, err := unix.Mmap(-1, 0, 64<<20, unix.PROT_READ, unix.MAP_ANON|unix.MAP_PRIVATE)
		if err != nil {
			panic(err)
		}
		unix.Syscall(unix.SYS_WRITE, uintptr(p[1]), uintptr(unsafe.Pointer(unsafe.SliceData(buf))), uintptr(len(buf)))
	}
}

// shareCPU keeps the calling thread on the first CPU, with another that computes
// and that Go's runtime cannot stop.
func shareCPU() {
	runtime.GOMAXPROCS(4)
	debug.SetGCPercent(-1)
	pin := func() {
		runtime.LockOSThread()
		var set unix.CPUSet
		set.Set(0)
		if err := unix.SchedSetaffinity(0, &set); err != nil {
			panic(err)
		}
	}
	go func() {
		pin()
		for {
			_ = spin(1000)
		}
	}()
	pin()
}

// runDelayOfThread is what the scheduler says of the calling thread, ns.
func runDelayOfThread() int64 {
	b, err := os.ReadFile("/proc/thread-self/schedstat")
	if err != nil {
		panic(err)
	}
	delay, err := strconv.ParseInt(strings.Fields(string(b))[1], 10, 64)
	if err != nil {
		panic(err)
	}
	return delay
}

// TestDelayOfCalls compares the delays of calls with what the scheduler says of
// the thread that made them.
func TestDelayOfCalls(t *testing.T) {
	tr, r := startTracer(t, testConfig())
	needs(t, tr, "run delay", "run delay of calls")
	const calls = 40
	h := startHelper(t, fmt.Sprint("compete ", calls))
	must(t, tr.AddProcess(h.pid()))
	h.say()
	said := h.hear()
	tid := int32(atoi(t, said[0]))
	want := time.Duration(atoi(t, said[2]) - atoi(t, said[1]))
	h.end()
	eventually(t, "the thread's end is delivered", func() bool {
		must(t, tr.Poll())
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, e := range r.exits {
			if e.TID == tid {
				return e.RunDelay >= want
			}
		}
		return false
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	var delay, duration time.Duration
	n := 0
	for _, c := range r.calls {
		if c.TID != tid || c.Number != unix.SYS_GETRANDOM || c.Return != 1<<20 {
			continue
		}
		n++
		delay += c.Delay
		duration += c.Duration
		if c.Delay > c.Duration {
			t.Errorf("a call of %v was delayed by %v", c.Duration, c.Delay)
		}
	}
	t.Logf("%d calls took %v, %v of it without a CPU; the thread was so for %v", n, duration, delay, want)
	if n != calls {
		t.Errorf("%d of %d calls", n, calls)
	}
	if want < 10*time.Millisecond {
		t.Skip("nobody else wanted the CPU: this tests nothing")
	}
	// Nearly all of the thread's time is in the calls.
	if delay > want*101/100 || delay < want*8/10 {
		t.Errorf("the delays of the calls add up to %v, want nearly %v", delay, want)
	}
}

// TestDelayOfWaits looks at a call that waits again and again.
func TestDelayOfWaits(t *testing.T) {
	cfg := watchConfig()
	cfg.Continuous = true
	tr, r := startTracer(t, cfg)
	needs(t, tr, "run delay", "run delay of calls", "snapshots", "snapshot stacks")
	h := startHelper(t, "pour")
	t.Cleanup(func() { _ = h.cmd.Process.Kill() }) // it would pour on
	must(t, tr.AddProcess(h.pid()))
	h.say()
	tid := int32(atoi(t, h.hear()[0]))
	var last time.Duration
	eventually(t, "the delay of one call has grown between two looks", func() bool {
		must(t, tr.Snapshot())
		r.mu.Lock()
		defer r.mu.Unlock()
		s := r.snapshots[len(r.snapshots)-1]
		for _, th := range s.Threads {
			if th.TID != tid || th.Flags&ThreadBlocked == 0 || th.Number != unix.SYS_WRITE || th.Delay == 0 {
				continue
			}
			if th.Flags&ThreadSinceExact == 0 || th.Since+int64(th.Delay) > s.Time {
				t.Fatalf("%+v in a snapshot at %d", th, s.Time)
			}
			if th.RunDelay < th.Delay {
				t.Fatalf("the thread was delayed by %v, its call by %v", th.RunDelay, th.Delay)
			}
			grown := last != 0 && th.Delay > last
			last = th.Delay
			return grown
		}
		return false
	})
	t.Logf("the call was delayed by %v so far", last)
}

// TestPackedDelay reads what pack_delay of the kernel side writes; its sum is
// done here again, as the record has it.
func TestPackedDelay(t *testing.T) {
	for units := uint64(0); units < 1<<32; units += 1 + units/1000 {
		var r captureCallRecord
		if units >= leastDelay {
			packed := uint32(units)
			if shift := bitLen(units) - 1; shift >= delayFraction {
				shift -= delayFraction
				packed = uint32(shift+1)<<delayFraction | uint32(units>>shift)&(1<<delayFraction-1)
			}
			r.TidDelay, r.TgidFlags = pidMask|packed>>2<<pidBits, pidMask|packed&3<<pidBits|0xff<<flagsShift
		}
		got := r.delay()
		want := units * delayUnit
		if units < leastDelay {
			want = 0
		}
		if diff := max(got, want) - min(got, want); diff*200 > want {
			t.Fatalf("%d ns are told as %d", want, got)
		}
	}
}

func bitLen(v uint64) (n uint64) {
	for ; v > 0; v >>= 1 {
		n++
	}
	return n
}

func TestMissingDelay(t *testing.T) {
	for _, c := range []struct {
		types   typesOf
		feature string
	}{
		{typesOf{runDelay: true, ownTask: true}, ""},
		{typesOf{runDelay: true}, "run delay of calls"},
		{typesOf{ownTask: true}, "run delay"},
		{typesOf{}, "run delay"},
	} {
		d := missingDelay(c.types)
		if (d == nil) != (c.feature == "") || (d != nil && (d.Feature != c.feature || d.Reason == "")) {
			t.Errorf("%+v: %+v", c.types, d)
		}
	}
}
