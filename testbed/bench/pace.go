package bench

import (
	"io"
	"os"
	"runtime"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

const (
	// unitCalls is how many calls a paced thread makes between two waits:
	// about what a request to one of the measured servers takes.
	unitCalls = 30
	// leastWait is the shortest wait between two units; faster loops make more
	// calls at once. Timers on a loaded machine are late by tenths of it.
	leastWait = 5 * time.Millisecond
)

// startPaced starts a process that makes calls, in so many a second in all and
// with so many threads, as a service of that name.
func startPaced(service string, calls, threads int) (*loop, error) {
	l, err := startLoop("paced "+strconv.Itoa(calls)+" "+strconv.Itoa(threads), "OTEL_SERVICE_NAME="+service,
		// Every thread keeps its processor through its raw calls, so the
		// runtime must have one for each, and never wait for all of them.
		"GOMAXPROCS="+strconv.Itoa(threads+2), "GOGC=off", "GODEBUG=asyncpreemptoff=1")
	if err != nil {
		return nil, err
	}
	_, err = l.out.ReadString('\n')
	return l, err
}

// pace makes calls until standard input is closed.
func pace(calls, threads int) {
	perThread := max(1, calls/threads)
	wait := max(leastWait, time.Second*unitCalls/time.Duration(perThread))
	each := int(wait.Seconds() * float64(perThread))
	var started atomic.Int32
	for i := range threads {
		go func() {
			runtime.LockOSThread()
			started.Add(1)
			// Not all at once.
			next := time.Now().Add(wait * time.Duration(i) / time.Duration(threads))
			for {
				if left := time.Until(next); left > 0 {
					ts := syscall.NsecToTimespec(int64(left))
					_, _, _ = syscall.RawSyscall(syscall.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&ts)), 0, 0)
				} else {
					next = time.Now() // too slow: what was missed is not made up for
				}
				for n := 1; n < each; n++ { // the wait is one
					_, _, _ = syscall.RawSyscall(cheap[n%len(cheap)], 0, 0, 0)
				}
				next = next.Add(wait)
			}
		}()
	}
	for int(started.Load()) < threads {
		time.Sleep(time.Millisecond)
	}
	_, _ = os.Stdout.WriteString("ready\n")
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}

// cheap are calls that cost next to nothing: what is measured is the recording.
var cheap = []uintptr{syscall.SYS_GETPPID, syscall.SYS_GETUID, syscall.SYS_GETEGID}
