package threadtrace

// What a goroutine waits in is no system call: the runtime parks it, and the thread
// goes on with another one. These are the numbers of such waits in Event.Number,
// beyond those of all system calls.
const (
	// WaitChanReceive and WaitChanSend wait for the other side of a channel.
	WaitChanReceive int32 = goroutineWaits + iota
	WaitChanSend
	// WaitSelect waits for one of several channels.
	WaitSelect
	// WaitMutex waits for a sync.Mutex or, to write, for a sync.RWMutex,
	// WaitReadLock to read.
	WaitMutex
	WaitReadLock
	// WaitCond is in sync.Cond.Wait, WaitGroup in sync.WaitGroup.Wait.
	WaitCond
	WaitGroup
	// WaitSemaphore waits for a semaphore of the runtime that is none of these.
	WaitSemaphore
	// WaitSleep is in time.Sleep.
	WaitSleep
	// WaitIO waits until a descriptor is ready, in the runtime's poller.
	WaitIO
	pastGoroutineWaits
)

// goroutineWaits is the first of these numbers.
const goroutineWaits int32 = 1 << 12

var goroutineNames = [...]string{
	"go.chan_receive", "go.chan_send", "go.select", "go.mutex", "go.read_lock", "go.cond", "go.wait_group", "go.semaphore", "go.sleep", "go.io_wait",
}

// A goroutine that waits for another one is like a thread in futex. For whom a
// goroutine waits that is in the poller is like a thread that waits for a peer; its
// thread, which the runtime parks, is reported as such.
var goroutineClasses = [...]Class{
	ClassIdle | ClassFutex, ClassIdle | ClassFutex, ClassIdle | ClassFutex, ClassFutex, ClassFutex, ClassIdle | ClassFutex, ClassIdle | ClassFutex, ClassFutex,
	ClassIdle | ClassSleep, ClassIdle | ClassReadLike | ClassPark,
}

// IsGoroutineWait reports whether a number is that of a wait of goroutines.
func IsGoroutineWait(number int32) bool {
	return number >= goroutineWaits && number < pastGoroutineWaits
}
