package stack_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/perfscope/perfscope/internal/stack"
	"github.com/perfscope/perfscope/internal/stack/stacktest"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

const stackBytes = 32 << 10

// load repeats step on connections of its own until the test ends.
func load(t *testing.T, workers int, step func() error) {
	t.Helper()
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := step(); err != nil {
					time.Sleep(20 * time.Millisecond)
				}
			}
		})
	}
	t.Cleanup(func() { close(stop); wg.Wait() })
}

// ask sends lines over a new connection and reads some answers.
func ask(addr, text string, times int) error {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	r := bufio.NewReader(c)
	for range times {
		if err := c.SetDeadline(time.Now().Add(2 * time.Second)); err != nil {
			return err
		}
		if _, err := io.WriteString(c, text); err != nil {
			return err
		}
		for range strings.Count(text, "\n") {
			if _, err := r.ReadString('\n'); err != nil {
				return err
			}
		}
	}
	return nil
}

func fetch(url string) error {
	resp, err := http.Get(url)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return errors.Join(err, resp.Body.Close())
}

// family is a process with its children.
func family(pid int) []int { return append([]int{pid}, stacktest.Children(pid)...) }

// survey takes n stacks of running and waiting threads and reports how many
// reach the start, and how many direct calls lead where the walk says.
type survey struct {
	stacks, complete, calls, agree int
	incomplete, wrong              []string
}

func take(t *testing.T, u *stack.Unwinder, pid, n int) survey {
	t.Helper()
	var s survey
	for s.stacks < n {
		for _, p := range family(pid) {
			for _, tid := range stacktest.Threads(p) {
				regs, data, err := stacktest.Capture(p, tid, stackBytes)
				if err != nil {
					continue // the thread ended
				}
				st, err := u.Unwind(int32(p), regs, stack.Copy{Bytes: data})
				if err != nil {
					continue
				}
				s.stacks++
				if st.Complete {
					s.complete++
				} else if len(s.incomplete) < 5 {
					s.incomplete = append(s.incomplete, render(st))
				}
				checkCalls(t, u, p, regs, data, &s)
			}
		}
		time.Sleep(time.Duration(rand.IntN(4000)) * time.Microsecond)
	}
	return s
}

// checkCalls compares each frame with the program's code: a direct call
// before a return address must lead to the function of the frame inside it.
// The function called may have ended in a jump to
// it (a tail call, a cold part). A walk that skipped or invented a frame
// fails this; tail calls of tail calls do too.
func checkCalls(t *testing.T, u *stack.Unwinder, pid int, regs stack.Registers, data []byte, s *survey) {
	t.Helper()
	frames, err := u.WalkForTest(int32(pid), regs, data)
	if err != nil {
		return
	}
	for i := 1; i < len(frames); i++ {
		inner, outer := frames[i-1], frames[i]
		if !inner.Native || !outer.Native {
			continue
		}
		target, ok := stacktest.DirectCall(pid, outer.Addr+1)
		if !ok {
			continue
		}
		start, end, plt := u.FunctionForTest(int32(pid), target)
		if plt || start == 0 || inner.Start == 0 {
			continue
		}
		direct, indirect := stacktest.JumpsInto(pid, start, end, inner.Start, inner.End)
		if start != inner.Start && !direct && indirect {
			continue // it may have ended in a jump through a pointer
		}
		s.calls++
		if start == inner.Start || direct {
			s.agree++
		} else if len(s.wrong) < 5 {
			s.wrong = append(s.wrong, fmt.Sprintf("%s: call at %#x leads to %#x, the frame inside it is %#x-%#x", outer.Module, outer.Addr, start, inner.Start, inner.End))
		}
	}
}

func render(st threadtrace.Stack) string {
	var b strings.Builder
	for _, f := range st.Frames {
		fmt.Fprintf(&b, "%s(%s) ", f.Function, f.Module)
	}
	return b.String()
}

func TestStacksReachTheStart(t *testing.T) {
	stacktest.NeedRoot(t)
	tests := []struct {
		name  string
		start func(t *testing.T) *stacktest.Server
	}{
		{"redis", func(t *testing.T) *stacktest.Server {
			s := stacktest.Redis(t)
			load(t, 2, func() error {
				return ask(s.Addr, "SET k v\r\nLPUSH l a\r\nLTRIM l 0 99\r\nINCR n\r\nEVAL \"return #KEYS\" 0\r\n", 200)
			})
			return s
		}},
		{"nginx", func(t *testing.T) *stacktest.Server {
			s := stacktest.Nginx(t)
			load(t, 2, func() error { return fetch("http://" + s.Addr + "/page.txt") })
			return s
		}},
		{"memcached", func(t *testing.T) *stacktest.Server {
			s := stacktest.Memcached(t)
			load(t, 2, func() error { return ask(s.Addr, "set k 0 0 0\r\n\r\n", 0) })
			load(t, 2, func() error { return ask(s.Addr, "incr k 1\r\n", 200) })
			return s
		}},
		{"postgres", func(t *testing.T) *stacktest.Server {
			s := stacktest.Postgres(t)
			load(t, 1, func() error {
				return query(t, s, "select count(*), sum(sqrt(g)) from generate_series(1, 200000) g; select relname from pg_class c join pg_attribute a on a.attrelid = c.oid order by 1").Run()
			})
			return s
		}},
		{"go", func(t *testing.T) *stacktest.Server {
			s := stacktest.GoServer(t, "testdata/goserver")
			load(t, 2, func() error { return fetch("http://" + s.Addr + "/") })
			return s
		}},
		{"go-pie", func(t *testing.T) *stacktest.Server {
			s := stacktest.GoServer(t, "testdata/goserver", "-buildmode=pie")
			load(t, 2, func() error { return fetch("http://" + s.Addr + "/") })
			return s
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := tt.start(t)
			u := stack.NewUnwinder(stack.Options{})
			time.Sleep(100 * time.Millisecond)
			got := take(t, u, s.PID, 400)
			t.Logf("%d of %d stacks complete, %d of %d direct calls agree, %+v", got.complete, got.stacks, got.agree, got.calls, u.Stats())
			for _, st := range got.incomplete {
				t.Log("incomplete: ", st)
			}
			for _, w := range got.wrong {
				t.Log(w)
			}
			if got.complete*100 < got.stacks*95 {
				t.Errorf("%d of %d stacks reach the start, want 95 %%", got.complete, got.stacks)
			}
			if got.agree*100 < got.calls*95 {
				t.Errorf("%d of %d direct calls lead to the frame inside them, want 95 %%", got.agree, got.calls)
			}
		})
	}
}

// query runs SQL with the psql beside the server.
func query(t *testing.T, s *stacktest.Server, sql string) *exec.Cmd {
	t.Helper()
	host, port, _ := net.SplitHostPort(s.Addr)
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/psql")
	if len(found) == 0 {
		stacktest.Missing(t, "psql is not installed")
	}
	return exec.Command(found[len(found)-1], "-h", host, "-p", port, "-U", "postgres", "-qAtc", sql)
}

// TestNamesOfBlockedCalls compares stacks of threads in a known call with the
// functions known to make it.
func TestNamesOfBlockedCalls(t *testing.T) {
	stacktest.NeedRoot(t)
	tests := []struct {
		name  string
		start func(t *testing.T) *stacktest.Server
		// innermost is the libc or runtime function that makes the call;
		// then come the application frames, all of them, in this order up to
		// where the list ends. "?" is a function without a name.
		innermost string
		app       []string
		// again is done before further looks; nil is nothing.
		again func(t testing.TB, s *stacktest.Server)
	}{
		{"redis idle", func(t *testing.T) *stacktest.Server { return stacktest.Redis(t) },
			"epoll_wait", []string{"?", "aeMain", "main", "_start"}, nil},
		{"redis DEBUG SLEEP", func(t *testing.T) *stacktest.Server {
			s := stacktest.Redis(t)
			go func() { _ = ask(s.Addr, "DEBUG SLEEP 20\r\n", 1) }()
			return s
		}, "clock_nanosleep", []string{"debugCommand", "call", "processCommand"}, nil},
		{"redis background thread", func(t *testing.T) *stacktest.Server { return stacktest.Redis(t) },
			"__futex_abstimed_wait_common", []string{"bioProcessBackgroundJobs"}, nil},
		{"nginx worker idle", func(t *testing.T) *stacktest.Server { return stacktest.Nginx(t) },
			"epoll_wait", []string{"?", "ngx_process_events_and_timers", "?", "ngx_spawn_process", "?", "ngx_master_process_cycle", "main", "_start"}, nil},
		{"postgres pg_sleep", func(t *testing.T) *stacktest.Server {
			s := stacktest.Postgres(t)
			// It ends with the test: on a machine that stands still for a while
			// a short sleep is over before it is looked at.
			cmd := query(t, s, "select pg_sleep(60)")
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = errors.Join(cmd.Process.Kill(), cmd.Wait()) })
			return s
		}, "epoll_wait", []string{"WaitEventSetWait", "WaitLatch", "pg_sleep"}, nil},
		{"memcached dispatcher", func(t *testing.T) *stacktest.Server { return stacktest.Memcached(t) },
			"epoll_wait", []string{"main", "_start"}, nil},
		{"go blocking read", func(t *testing.T) *stacktest.Server { return stacktest.GoServer(t, "testdata/goserver") },
			"internal/runtime/syscall/linux.Syscall6", []string{"main.blockInRead", "main.waitForever"}, nil},
		{"java lock", func(t *testing.T) *stacktest.Server {
			s := stacktest.JVM(t, "testdata/jvmserver/Cart.java", "com.shop.Cart::add")
			time.Sleep(time.Second) // the methods are compiled, and some once more later
			stacktest.WritePerfMap(t, s)
			return s
		}, "__futex_abstimed_wait_common", []string{"com.shop.Cart.add", "com.shop.Cart.buy"}, stacktest.WritePerfMap},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := tt.start(t)
			u := stack.NewUnwinder(stack.Options{DebugDirs: []string{}})
			var seen []string
			for look := range 20 { // a loaded machine takes its time to get there
				time.Sleep(100 * time.Millisecond)
				if tt.again != nil && look%5 == 4 {
					tt.again(t, s)
				}
				seen = seen[:0]
				for _, st := range stacksOf(u, s.PID) {
					if matches(st, tt.innermost, tt.app) {
						return
					}
					seen = append(seen, render(st))
				}
			}
			t.Errorf("no thread in %s called by %v; stacks:\n%s", tt.innermost, tt.app, strings.Join(seen, "\n"))
		})
	}
}

// stacksOf takes the stacks of all threads of a process and its children.
func stacksOf(u *stack.Unwinder, pid int) []threadtrace.Stack {
	var out []threadtrace.Stack
	for _, p := range family(pid) {
		for _, tid := range stacktest.Threads(p) {
			regs, data, err := stacktest.Capture(p, tid, stackBytes)
			if err != nil {
				continue // the thread ended
			}
			if st, err := u.Unwind(int32(p), regs, stack.Copy{Bytes: data}); err == nil {
				out = append(out, st)
			}
		}
	}
	return out
}

// matches compares the innermost frame and the application frames, which
// must follow each other without one skipped.
func matches(st threadtrace.Stack, innermost string, app []string) bool {
	// glibc's debug symbols know more names than its dynamic table.
	if len(st.Frames) == 0 || (st.Frames[0].Origin == threadtrace.OriginApplication) ||
		(!strings.HasSuffix(st.Frames[0].Function, innermost) && !strings.HasPrefix(st.Frames[0].Function, "libc.so.6+")) {
		return false
	}
	var got []string
	for _, f := range st.Frames {
		if f.Origin == threadtrace.OriginApplication {
			got = append(got, f.Function)
		}
	}
	if len(got) < len(app) {
		return false
	}
	for i, want := range app {
		if want == "?" && strings.Contains(got[i], "+0x") {
			continue
		}
		if got[i] != want {
			return false
		}
	}
	return true
}
