//go:build linux

package goroutine_test

import (
	"bufio"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/metrics"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/perfscope/perfscope/internal/goroutine"
	"github.com/perfscope/perfscope/internal/rootfs"
	"github.com/perfscope/perfscope/internal/stack"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// The tests look at another process: this program once more, with goroutines that
// wait in every way.
const child = "GOROUTINE_TEST_CHILD"

func TestMain(m *testing.M) {
	if n, err := strconv.Atoi(os.Getenv(child)); err == nil {
		park(n)
	}
	os.Exit(m.Run())
}

var (
	mutex   sync.Mutex
	readers sync.RWMutex
)

func park(receivers int) {
	ch, full := make(chan int), make(chan int)
	mutex.Lock()
	waitForReceive := func() { <-ch }
	for range receivers {
		go waitForReceive()
	}
	go waitInSend(full)
	go waitForMutex()
	readers.Lock()
	go waitToRead()
	go waitInSelect(ch)
	go waitForCond()
	go waitForGroup()
	go sleepLong()
	go waitForConnection()
	steps := make(chan int)
	go waitInTurns(steps)
	for in := bufio.NewReader(os.Stdin); ; steps <- 1 {
		for !allWait() {
			time.Sleep(time.Millisecond)
		}
		fmt.Println("parked")
		if _, err := in.ReadByte(); err != nil { // the parent is gone
			os.Exit(0)
		}
	}
}

// waitInTurns waits for steps, now here, now there.
func waitInTurns(steps chan int) {
	for {
		<-steps
		waitElsewhere(steps)
	}
}

//go:noinline
func waitElsewhere(steps chan int) { <-steps }

// allWait reports whether no goroutine but this one runs, or could.
func allWait() bool {
	now := []metrics.Sample{{Name: "/sched/goroutines/runnable:goroutines"}, {Name: "/sched/goroutines/running:goroutines"}}
	metrics.Read(now)
	return now[0].Value.Uint64() == 0 && now[1].Value.Uint64() == 1
}

//go:noinline
func waitInSend(ch chan int) { ch <- 1 }

func waitForMutex() { mutex.Lock() }
func waitToRead()   { readers.RLock() }
func sleepLong()    { time.Sleep(time.Hour) }

//go:noinline
func waitInSelect(ch chan int) {
	select {
	case <-ch:
	case <-time.After(time.Hour):
	}
}

func waitForCond() {
	c := sync.NewCond(&sync.Mutex{})
	c.L.Lock()
	c.Wait()
}

func waitForGroup() {
	var g sync.WaitGroup
	g.Add(1)
	g.Wait()
}

func waitForConnection() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err == nil {
		_, _ = l.Accept()
	}
}

type memory struct {
	door *rootfs.Door
	pid  int32
}

func (m memory) Read(ranges []goroutine.Range) ([][]byte, error) {
	all := make([]rootfs.Range, len(ranges))
	for i, r := range ranges {
		all[i] = rootfs.Range(r)
	}
	return m.door.ReadRanges(m.pid, all)
}

// start runs a program until the test ends, and waits until its goroutines wait.
func start(t testing.TB, program string, receivers int) int32 {
	pid, _ := startInTurns(t, program, receivers)
	return pid
}

// startInTurns does that, too; step has waitInTurns go on to its next wait.
func startInTurns(t testing.TB, program string, receivers int) (pid int32, step func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, program)
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d", child, receivers))
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
	t.Cleanup(func() {
		_ = in.Close()
		cancel()
		_ = cmd.Wait()
	})
	lines := bufio.NewReader(out)
	waits := func() {
		t.Helper()
		if line, err := lines.ReadString('\n'); err != nil || strings.TrimSpace(line) != "parked" {
			t.Fatalf("the child says %q, %v", line, err)
		}
	}
	waits()
	step = func() {
		t.Helper()
		if _, err := in.Write([]byte{1}); err != nil {
			t.Fatal(err)
		}
		waits()
	}
	return int32(cmd.Process.Pid), step //nolint:gosec // a pid
}

// locate finds the goroutines of a process, as the receiver does.
func locate(t testing.TB, u *stack.Unwinder, mem memory) *goroutine.Table {
	t.Helper()
	fn, err := u.GoFunction(mem.pid, goroutine.Adder)
	if err != nil {
		t.Fatal(err)
	}
	size := int(min(fn.End-fn.Start, goroutine.MaxCode)) //nolint:gosec // bounded
	code, err := mem.Read([]goroutine.Range{{Addr: fn.Start, Size: size}})
	if err != nil || code[0] == nil {
		if os.IsPermission(err) && os.Getenv("CI") == "" {
			t.Skipf("the memory of another process cannot be read: %v", err)
		}
		t.Fatalf("the code of %s: %v", goroutine.Adder, err)
	}
	table, err := goroutine.Locate(mem, fn.Version, runtime.GOARCH, code[0], fn.Start)
	if err != nil {
		t.Fatalf("%s: %v", fn.Version, err)
	}
	return table
}

// waitsOf names what the goroutines of a look wait in.
func waitsOf(t *testing.T, u *stack.Unwinder, pid int32, look *goroutine.Look) map[string][]int32 {
	t.Helper()
	out := map[string][]int32{}
	for _, g := range look.Stacks {
		st, err := u.Unwind(pid, stack.Registers{IP: g.PC, SP: g.SP, BP: g.BP}, stack.Copy{Bytes: g.Stack})
		if err != nil || !st.Complete {
			t.Fatalf("the stack of goroutine %d is %+v, %v", g.ID, st, err)
		}
		number, ok := goroutine.WaitOf(&st)
		if !ok {
			number = threadtrace.NoCall
		}
		for _, f := range st.Frames {
			if name, ours := strings.CutPrefix(f.Function, "github.com/perfscope/perfscope/internal/goroutine_test."); ours {
				out[name] = append(out[name], number)
				break
			}
		}
	}
	return out
}

func TestWaitsOfAnotherProcess(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	programs := map[string]string{"as it is": self}
	if stripped := stripOf(t, self); stripped != "" {
		programs["without symbols"] = stripped
	}
	for name, program := range programs {
		t.Run(name, func(t *testing.T) {
			mem := memory{&rootfs.Door{}, start(t, program, 5)}
			u := stack.NewUnwinder(stack.Options{})
			look, err := locate(t, u, mem).Look(mem, rand.New(rand.NewPCG(1, 2)))
			if err != nil {
				t.Fatal(err)
			}
			if look.Bad != 0 || look.Torn != 0 || look.Scale() != 1 {
				t.Errorf("%d contradict themselves, %d moved, the scale is %v", look.Bad, look.Torn, look.Scale())
			}
			want := map[string][]int32{
				"park.func1": slices.Repeat([]int32{threadtrace.WaitChanReceive}, 5),
				"waitInSend": {threadtrace.WaitChanSend}, "waitForMutex": {threadtrace.WaitMutex}, "waitInSelect": {threadtrace.WaitSelect},
				"waitForCond": {threadtrace.WaitCond}, "waitForGroup": {threadtrace.WaitGroup}, "sleepLong": {threadtrace.WaitSleep},
				"waitForConnection": {threadtrace.WaitIO}, "waitToRead": {threadtrace.WaitReadLock},
				"waitInTurns": {threadtrace.WaitChanReceive},
			}
			if got := waitsOf(t, u, mem.pid, look); !maps.EqualFunc(got, want, slices.Equal) {
				t.Errorf("waits are\n%v, want\n%v", got, want)
			}
			creators := map[string]bool{}
			for addr := range look.Waiting {
				if st, err := u.Unwind(mem.pid, stack.Registers{IP: addr - 1}, stack.Copy{}); err == nil && len(st.Frames) > 0 {
					creators[st.Frames[0].Function] = true
				}
			}
			if !creators["github.com/perfscope/perfscope/internal/goroutine_test.park"] {
				t.Errorf("who made them is not told: %v", creators)
			}
		})
	}
}

// stripOf makes a copy of a program without symbols and debug information; empty
// when there is no strip.
func stripOf(t *testing.T, program string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "stripped")
	if text, err := exec.CommandContext(t.Context(), "strip", "-o", out, program).CombinedOutput(); err != nil {
		t.Logf("not tried without symbols: %v %s", err, text)
		return ""
	}
	return out
}

// TestCostDoesNotGrowWithTheirNumber looks at a hundred thousand goroutines.
func TestCostDoesNotGrowWithTheirNumber(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	const many = 100_000
	mem := memory{&rootfs.Door{}, start(t, self, many)}
	u := stack.NewUnwinder(stack.Options{})
	table := locate(t, u, mem)
	counted := &counting{memory: mem}
	look, err := table.Look(counted, rand.New(rand.NewPCG(3, 4)))
	if err != nil {
		t.Fatal(err)
	}
	if counted.calls > 5 || counted.bytes > 1<<20 {
		t.Errorf("%d reads of %d bytes", counted.calls, counted.bytes)
	}
	if look.Read != goroutine.MaxSlots || len(look.Stacks) != goroutine.MaxStacks {
		t.Errorf("%d are read, and %d stacks", look.Read, len(look.Stacks))
	}
	waiting := 0.0
	for _, n := range look.Waiting {
		waiting += float64(n) * look.Scale()
	}
	if waiting < 0.9*many || waiting > 1.1*many {
		t.Errorf("%.0f wait, by the sample", waiting)
	}
}

type counting struct {
	memory
	calls, bytes int
}

func (c *counting) Read(ranges []goroutine.Range) ([][]byte, error) {
	c.calls++
	for _, r := range ranges {
		c.bytes += r.Size
	}
	return c.memory.Read(ranges)
}

// TestOneWaitAfterAnother looks at a goroutine again and again: in the same wait, in another
// one elsewhere, and in another one at the first place.
func TestOneWaitAfterAnother(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	pid, step := startInTurns(t, self, 0)
	mem := memory{&rootfs.Door{}, pid}
	u := stack.NewUnwinder(stack.Options{})
	table := locate(t, u, mem)
	look, err := table.Look(mem, rand.New(rand.NewPCG(1, 2)))
	if err != nil {
		t.Fatal(err)
	}
	innermost := func(g *goroutine.Goroutine) string {
		st, err := u.Unwind(pid, stack.Registers{IP: g.PC, SP: g.SP, BP: g.BP}, stack.Copy{Bytes: g.Stack})
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range st.Frames {
			if name, ours := strings.CutPrefix(f.Function, "github.com/perfscope/perfscope/internal/goroutine_test."); ours {
				return name
			}
		}
		return ""
	}
	at := slices.IndexFunc(look.Stacks, func(g goroutine.Goroutine) bool { return innermost(&g) == "waitInTurns" })
	if at < 0 {
		t.Fatal("it is not seen")
	}
	first := look.Stacks[at]
	again := func() goroutine.Now {
		t.Helper()
		now, err := table.Again(mem, []goroutine.Goroutine{first})
		if err != nil || len(now) != 1 || !now[0].Waits || now[0].Gone || now[0].ID != first.ID {
			t.Fatalf("%+v, %v", now, err)
		}
		return now[0]
	}
	if now := again(); now.Turns != first.Turns || now.SP != first.SP {
		t.Errorf("the same wait is %+v, was %+v", now, first)
	}
	step()
	if now := again(); now.Turns == first.Turns || now.SP == first.SP || innermost(&now.Goroutine) != "waitElsewhere" {
		t.Errorf("it is in %s, turn %d after %d", innermost(&now.Goroutine), now.Turns, first.Turns)
	}
	step()
	if now := again(); now.Turns == first.Turns || now.SP != first.SP {
		t.Errorf("another wait at the first place is turn %d after %d, at %#x after %#x", now.Turns, first.Turns, now.SP, first.SP)
	}
}
