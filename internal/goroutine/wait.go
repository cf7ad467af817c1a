package goroutine

import "github.com/perfscope/perfscope/pkg/threadtrace"

// waits tells by the functions that call the runtime's scheduler what a goroutine
// waits for. Their names have stayed while the numbers of the runtime's own reasons
// changed from release to release. The first that is on a stack, from the innermost
// out, decides.
var waits = map[string]int32{
	"runtime.chanrecv": threadtrace.WaitChanReceive, "runtime.chansend": threadtrace.WaitChanSend,
	"runtime.selectgo": threadtrace.WaitSelect, "runtime.block": threadtrace.WaitSelect,
	"sync.runtime_SemacquireMutex": threadtrace.WaitMutex, "internal/sync.runtime_SemacquireMutex": threadtrace.WaitMutex,
	"sync.runtime_SemacquireRWMutex": threadtrace.WaitMutex, "sync.runtime_SemacquireRWMutexR": threadtrace.WaitReadLock,
	"sync.runtime_notifyListWait": threadtrace.WaitCond, "sync.runtime_SemacquireWaitGroup": threadtrace.WaitGroup,
	"sync.runtime_Semacquire": threadtrace.WaitSemaphore, "internal/poll.runtime_Semacquire": threadtrace.WaitSemaphore,
	"time.Sleep": threadtrace.WaitSleep, "runtime.netpollblock": threadtrace.WaitIO,
}

// maxReason is how many frames from the innermost out can say for what it waits.
const maxReason = 8

// WaitOf is for what the goroutine with a stack waits; false when it is the
// runtime's own, or does not wait for any of what threadtrace knows.
func WaitOf(stack *threadtrace.Stack) (int32, bool) {
	for i := range stack.Frames[:min(len(stack.Frames), maxReason)] {
		if number, ok := waits[stack.Frames[i].Function]; ok {
			return number, true
		}
	}
	return 0, false
}
