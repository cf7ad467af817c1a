//go:build linux && (amd64 || arm64)

package capture

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The tests trace this very test binary, started again as one of these: a
// program whose calls are known. Each waits for a line on stdin, does its
// work, prints one line, and ends when stdin is closed.
var helpers = map[string]func(args []string, in *bufio.Reader){
	"calls": func(args []string, _ *bufio.Reader) {
		runtime.LockOSThread()
		n, _ := strconv.Atoi(args[0])
		for range n {
			unix.RawSyscall(unix.SYS_GETPPID, 0, 0, 0)
			unix.RawSyscall(unix.SYS_GETUID, 0, 0, 0)
			unix.RawSyscall(unix.SYS_GETEGID, 0, 0, 0)
		}
		ts := unix.NsecToTimespec(int64(20 * time.Millisecond))
		// Not raw: the Go scheduler interrupts a thread that blocks unannounced.
		unix.Syscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&ts)), 0, 0)
		name, _ := unix.BytePtrFromString("/nonexistent/file")
		dir := -100 // AT_FDCWD
		unix.RawSyscall6(unix.SYS_OPENAT, uintptr(dir), uintptr(unsafe.Pointer(name)), 0, 0, 0, 0)
		fmt.Println(unix.Gettid())
	},
	"block": func(_ []string, in *bufio.Reader) {
		var p [2]int
		if err := unix.Pipe(p[:]); err != nil {
			panic(err)
		}
		tid := make(chan int)
		go func() {
			runtime.LockOSThread()
			tid <- unix.Gettid()
			var b byte
			iov := unix.Iovec{Base: &b}
			iov.SetLen(1)
			// readv, as nothing else in a Go program calls it.
			unix.Syscall(unix.SYS_READV, uintptr(p[0]), uintptr(unsafe.Pointer(&iov)), 1)
			tid <- 0
			select {}
		}()
		fmt.Println(<-tid)
		_, _ = in.ReadString('\n')
		_, _ = unix.Write(p[1], []byte{1})
		<-tid
		fmt.Println("returned")
	},
	"park": func(args []string, _ *bufio.Reader) {
		n, _ := strconv.Atoi(args[0])
		var p [2]int
		if err := unix.Pipe(p[:]); err != nil {
			panic(err)
		}
		var ready sync.WaitGroup
		ready.Add(n)
		for range n {
			go func() {
				runtime.LockOSThread()
				ready.Done()
				var b [1]byte
				unix.Syscall(unix.SYS_READ, uintptr(p[0]), uintptr(unsafe.Pointer(&b)), 1)
			}()
		}
		ready.Wait()
		fmt.Println("parked")
	},
	"brief": func(args []string, _ *bufio.Reader) { // a thread that computes and ends
		d, _ := time.ParseDuration(args[0])
		said := make(chan [2]int64)
		var work func()
		work = func() {
			runtime.LockOSThread()              // never unlocked: the thread ends with it
			if unix.Gettid() == unix.Getpid() { // the first never does
				go work()
				<-make(chan struct{})
			}
			for clockNow(unix.CLOCK_THREAD_CPUTIME_ID) < int64(d) {
				_ = spin(1000)
			}
			said <- [2]int64{int64(unix.Gettid()), clockNow(unix.CLOCK_THREAD_CPUTIME_ID)}
		}
		go work()
		s := <-said
		fmt.Println(s[0], s[1])
	},
	"sleepers": func(args []string, _ *bufio.Reader) {
		n, _ := strconv.Atoi(args[0])
		var finished sync.WaitGroup
		finished.Add(n)
		start := time.Now()
		for range n {
			go func() {
				runtime.LockOSThread()
				ts := unix.NsecToTimespec(int64(20 * time.Millisecond))
				for time.Since(start) < time.Second {
					unix.Syscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&ts)), 0, 0)
				}
				finished.Done()
			}()
		}
		finished.Wait()
		fmt.Println("finished")
	},
	"remap": func(_ []string, _ *bufio.Reader) {
		const size = 64 << 20
		b, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
		if err != nil {
			panic(err)
		}
		_ = unix.Madvise(b, unix.MADV_NOHUGEPAGE)
		for i := 0; i < size; i += 4096 {
			b[i] = 1
		}
		go func() {
			for {
				_ = unix.Mprotect(b, unix.PROT_READ)
				_ = unix.Mprotect(b, unix.PROT_READ|unix.PROT_WRITE)
			}
		}()
		fmt.Println("ready")
	},
	"threads": func(args []string, _ *bufio.Reader) {
		threads, _ := strconv.Atoi(args[0])
		calls, _ := strconv.Atoi(args[1])
		var ready, finished sync.WaitGroup
		start := make(chan struct{})
		ready.Add(threads)
		finished.Add(threads)
		for range threads {
			go func() {
				runtime.LockOSThread() // never unlocked: the thread ends with it
				ready.Done()
				<-start
				for range calls {
					unix.RawSyscall(unix.SYS_GETPPID, 0, 0, 0)
				}
				finished.Done()
			}()
		}
		ready.Wait()
		close(start)
		finished.Wait()
		fmt.Println("finished")
	},
	"naps": func(args []string, _ *bufio.Reader) {
		threads, _ := strconv.Atoi(args[0])
		for range threads {
			go func() {
				for {
					ts := unix.NsecToTimespec(int64(time.Millisecond))
					unix.Syscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&ts)), 0, 0)
				}
			}()
		}
		fmt.Println("ready")
	},
	"children": func(args []string, _ *bufio.Reader) {
		n, _ := strconv.Atoi(args[0])
		for range n {
			cmd := exec.Command("/proc/self/exe")
			cmd.Env = append(os.Environ(), helperEnv+"=calls 100")
			cmd.Stdin = strings.NewReader("go\n")
			if out, err := cmd.CombinedOutput(); err != nil {
				panic(string(out))
			}
		}
		fmt.Println("finished")
	},
	"exec": func(_ []string, _ *bufio.Reader) {
		// From a thread that is not the first, which then takes its place.
		var fromAnother func()
		fromAnother = func() {
			runtime.LockOSThread()
			if unix.Gettid() == unix.Getpid() {
				go fromAnother()
				select {}
			}
			_ = os.Setenv(helperEnv, "calls 100")
			panic(syscall.Exec("/proc/self/exe", os.Args[:1], os.Environ()))
		}
		go fromAnother()
		select {}
	},
	"spin": func(args []string, _ *bufio.Reader) {
		d, _ := time.ParseDuration(args[0])
		runtime.LockOSThread()
		tid := unix.Gettid()
		n := 0
		for start := time.Now(); time.Since(start) < d; {
			n += spin(1000)
		}
		fmt.Println(tid, clockNow(unix.CLOCK_PROCESS_CPUTIME_ID), n > 0)
	},
	"wake": func(_ []string, _ *bufio.Reader) { wake() },
	"herd": func(args []string, _ *bufio.Reader) { // many threads that one wakes at once
		n, _ := strconv.Atoi(args[0])
		var word uint32
		var woken sync.WaitGroup
		woken.Add(n)
		for range n {
			go func() {
				runtime.LockOSThread()
				unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(&word)), futexWait, 0, 0, 0, 0)
				woken.Done()
			}()
		}
		time.Sleep(200 * time.Millisecond) // those that come too late do not wait
		word = 1
		unix.Syscall(unix.SYS_FUTEX, uintptr(unsafe.Pointer(&word)), futexWake, uintptr(n))
		woken.Wait()
		fmt.Println("woken")
	},
	"receive": func(args []string, _ *bufio.Reader) { receive(args[0]) },
	"serve":   func(args []string, _ *bufio.Reader) { serve(args[0]) },
	"trace": func(args []string, in *bufio.Reader) {
		cfg := testConfig()
		cfg.SampleHz, cfg.SnapshotInterval = 49, 200*time.Millisecond
		tr, err := New(cfg, &recorder{}, nil)
		if err == nil {
			err = tr.Start(context.Background())
		}
		if err != nil {
			fmt.Println("error:", err)
			return
		}
		if len(args) > 0 {
			pid, _ := strconv.Atoi(args[0])
			if err := tr.AddProcess(int32(pid)); err != nil {
				fmt.Println("error:", err)
				return
			}
		}
		fmt.Println("ready", len(tr.Degraded()))
		_, _ = in.ReadString('\n')
		_ = tr.Close()
	},
	"getppid": func(args []string, in *bufio.Reader) { // for the measurement
		n, _ := strconv.Atoi(args[0])
		runtime.LockOSThread()
		for {
			for range 500 { // after the pipe, the caches
				unix.RawSyscall(unix.SYS_GETPPID, 0, 0, 0)
			}
			// CPU time, so that others on the machine do not count.
			start := clockNow(unix.CLOCK_THREAD_CPUTIME_ID)
			for range n {
				unix.RawSyscall(unix.SYS_GETPPID, 0, 0, 0)
			}
			fmt.Println(clockNow(unix.CLOCK_THREAD_CPUTIME_ID) - start)
			if _, err := in.ReadString('\n'); err != nil {
				return
			}
		}
	},
}

//go:noinline
func spin(n int) int {
	x := 0
	for i := range n {
		x += i * i
	}
	return x | 1
}

func clockNow(id int32) int64 {
	var ts unix.Timespec
	_ = unix.ClockGettime(id, &ts)
	return ts.Nano()
}

const helperEnv = "PERFSCOPE_CAPTURE_HELPER"

// runHelper is what the test binary does when it is a helper.
func runHelper(what string) {
	// Whatever becomes of the test, this ends.
	time.AfterFunc(2*time.Minute, func() { os.Exit(3) })
	f := strings.Fields(what)
	in := bufio.NewReader(os.Stdin)
	fmt.Println("started")
	_, _ = in.ReadString('\n')
	helpers[f[0]](f[1:], in)
	_, _ = io.Copy(io.Discard, in)
}

// helper is a started helper program.
type helper struct {
	t   testing.TB
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func startHelper(t testing.TB, what string, change ...func(*exec.Cmd)) *helper {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	// Go's own signals would interrupt calls on a slow machine.
	cmd.Env = append(os.Environ(), helperEnv+"="+what, "GODEBUG=asyncpreemptoff=1")
	cmd.Stderr = os.Stderr
	for _, f := range change {
		f(cmd)
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	h := &helper{t: t, cmd: cmd, in: in, out: bufio.NewReader(out)}
	t.Cleanup(func() {
		_ = in.Close()
		timer := time.AfterFunc(20*time.Second, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait()
		timer.Stop()
	})
	h.started()
	return h
}

// started waits until the helper runs. Exec tells its caller of success before
// it is over: without this, a test could see the end of the helper's own.
func (h *helper) started() {
	h.t.Helper()
	if said := h.hear(); said[0] != "started" {
		h.t.Fatalf("the helper says %q as it starts", said)
	}
}

func (h *helper) pid() int32 { return int32(h.cmd.Process.Pid) }

// say sends the helper a line.
func (h *helper) say() {
	h.t.Helper()
	if _, err := io.WriteString(h.in, "go\n"); err != nil {
		h.t.Fatalf("helper: %v", err)
	}
}

// hear waits for a line of the helper.
func (h *helper) hear() []string {
	h.t.Helper()
	timer := time.AfterFunc(30*time.Second, func() { _ = h.cmd.Process.Kill() })
	defer timer.Stop()
	line, err := h.out.ReadString('\n')
	if err != nil {
		h.t.Fatalf("helper ended early: %v", err)
	}
	return strings.Fields(line)
}

// end lets the helper end and waits for that.
func (h *helper) end() {
	h.t.Helper()
	_ = h.in.Close()
	_, _ = io.Copy(io.Discard, h.out)
	if err := h.cmd.Wait(); err != nil {
		h.t.Fatalf("helper: %v", err)
	}
}

func atoi(t testing.TB, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
