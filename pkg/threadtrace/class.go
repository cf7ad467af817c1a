package threadtrace

// Class says what a system call is for, as far as its number alone tells.
// A call can be in several classes.
type Class uint16

const (
	// ClassIdle calls are where a thread waits for something to do: the
	// boundaries of execution units.
	ClassIdle Class = 1 << iota
	// ClassReadLike calls wait for a peer when they block: a unit's
	// boundary only if they really blocked.
	ClassReadLike
	// ClassInput calls take bytes in; their return value counts them.
	ClassInput
	// ClassOutput calls give bytes out; their return value counts them.
	ClassOutput
	// ClassAccept takes a new connection.
	ClassAccept
	// ClassConnect opens one.
	ClassConnect
	// ClassSync waits for storage.
	ClassSync
	// ClassSleep lets time pass and nothing else.
	ClassSleep
	// ClassFutex waits for, or wakes, another thread.
	ClassFutex
	// ClassMemory changes the memory map.
	ClassMemory
	// ClassReadiness asks which descriptors are ready.
	ClassReadiness
	// ClassFile calls move bytes of files only: at an offset, or from one
	// file to another.
	ClassFile
	// ClassLookup calls look at a file by its name, or list a directory, and move none
	// of the bytes of files.
	ClassLookup
	// ClassFileLock waits for another process's lock on a file: of fcntl only
	// the operations that do so wait.
	ClassFileLock
	// ClassPark calls wait for any of a set of descriptors: what event loops and
	// the pollers of runtimes rest in.
	ClassPark
	// ClassYield calls give the CPU to others that want it: who is in one is
	// runnable.
	ClassYield
)

var classNames = map[Class][]string{
	ClassIdle: {
		"epoll_wait", "epoll_pwait", "epoll_pwait2", "poll", "ppoll", "select", "pselect6",
		"accept", "accept4", "nanosleep", "clock_nanosleep", "futex", "futex_wait", "futex_waitv",
		"io_uring_enter", "io_getevents", "io_pgetevents", "rt_sigtimedwait", "rt_sigsuspend",
		"pause", "wait4", "waitid", "msgrcv", "mq_timedreceive", "semop", "semtimedop",
	},
	ClassReadLike: {"read", "readv", "recvfrom", "recvmsg", "recvmmsg", "preadv2"},
	ClassInput:    {"read", "readv", "pread64", "preadv", "preadv2", "recvfrom", "recvmsg"},
	ClassOutput: {
		"write", "writev", "pwrite64", "pwritev", "pwritev2", "sendto", "sendmsg", "sendfile", "splice", "copy_file_range",
	},
	ClassFile: {"pread64", "preadv", "preadv2", "pwrite64", "pwritev", "pwritev2", "copy_file_range"},
	ClassLookup: {
		"stat", "lstat", "newfstatat", "statx", "access", "faccessat", "faccessat2", "readlink", "readlinkat", "getxattr", "lgetxattr",
		"getdents", "getdents64",
	},
	ClassFileLock: {"flock", "fcntl"},
	ClassYield:    {"sched_yield"},
	ClassPark:     {"epoll_wait", "epoll_pwait", "epoll_pwait2", "io_uring_enter"},
	ClassAccept:   {"accept", "accept4"},
	ClassConnect:  {"connect"},
	ClassSync:     {"fsync", "fdatasync", "sync_file_range", "msync", "syncfs", "sync"},
	ClassSleep:    {"nanosleep", "clock_nanosleep"},
	ClassFutex:    {"futex", "futex_wait", "futex_waitv"},
	ClassMemory:   {"mmap", "munmap", "brk", "mremap", "madvise", "mprotect"},
	ClassReadiness: {
		"epoll_wait", "epoll_pwait", "epoll_pwait2", "poll", "ppoll", "select", "pselect6",
	},
}

// Classes maps system call numbers of one architecture to what they are for.
type Classes struct{ of [512]Class }

// NewClasses makes the table for an architecture ("amd64", "arm64"); for an
// unknown one every call is in no class.
func NewClasses(arch string) *Classes {
	c := &Classes{}
	for class, names := range classNames {
		for _, name := range names {
			if nr, ok := Number(arch, name); ok && nr >= 0 && int(nr) < len(c.of) {
				c.of[nr] |= class
			}
		}
	}
	return c
}

// Of returns the classes of a call, none for a number out of the table.
func (c *Classes) Of(number int32) Class {
	if IsGoroutineWait(number) {
		return goroutineClasses[number-goroutineWaits]
	}
	if number < 0 || int(number) >= len(c.of) {
		return 0
	}
	return c.of[number]
}

// Is reports whether the call is in the class.
func (c *Classes) Is(number int32, class Class) bool { return c.Of(number)&class != 0 }
