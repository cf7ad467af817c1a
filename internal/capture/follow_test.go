//go:build linux && (amd64 || arm64)

package capture

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

func TestChildrenAreFollowed(t *testing.T) {
	for _, include := range []bool{true, false} {
		cfg := testConfig()
		cfg.IncludeChildren = include
		tr, r := startTracer(t, cfg)
		h := startHelper(t, "children 3")
		must(t, tr.AddProcess(h.pid()))
		h.say()
		h.hear()
		must(t, tr.Poll())
		want, children := 0, 0
		if include {
			want, children = 3*100, 3
		}
		if got := r.count(number(unix.SYS_GETPPID)); got != want {
			t.Errorf("include %v: %d calls of children, want %d", include, got, want)
		}
		r.mu.Lock()
		forked := map[int32]bool{}
		for _, f := range r.forks {
			if f.PID != f.ParentPID {
				forked[f.PID] = true
			}
		}
		over := 0
		for _, e := range r.exits {
			if e.ProcessOver && forked[e.PID] {
				over++
			}
		}
		execs := 0
		for _, e := range r.execs {
			if e.PID != h.pid() {
				execs++
			}
		}
		r.mu.Unlock()
		// The Go library may fork once more, to try what the kernel can do.
		if len(forked) < children || execs != children || over < children || (!include && len(forked) > 0) {
			t.Errorf("include %v: %d processes started, %d programs, %d ended, want %d of each", include, len(forked), execs, over, children)
		}
	}
}

func TestExecFromAnotherThread(t *testing.T) {
	tr, r := startTracer(t, testConfig())
	h := startHelper(t, "exec")
	must(t, tr.AddProcess(h.pid()))
	h.say()
	eventually(t, "exec is noticed", func() bool {
		must(t, tr.Poll())
		r.mu.Lock()
		defer r.mu.Unlock()
		return slices.ContainsFunc(r.execs, func(e Exec) bool { return e.PID == h.pid() })
	})
	h.started()
	h.say() // to the new program
	tid := int32(atoi(t, h.hear()[0]))
	must(t, tr.Poll())
	if got := r.count(func(c Call) bool { return c.Number == unix.SYS_GETPPID && c.TID == tid }); got != 100 {
		t.Errorf("%d calls after exec, want 100", got)
	}
	execve := func(c Call) bool {
		return c.Number == unix.SYS_EXECVE && c.TID == h.pid() && c.Return == 0
	}
	if got := r.count(execve); got != 1 {
		t.Errorf("%d successful execve calls, want 1", got)
	}
	h.end()
	leavesNothing(t, tr, r)
}

// leavesNothing waits until the last target's end has been seen and looks for
// remains of it.
func leavesNothing(t *testing.T, tr *Tracer, r *recorder) {
	t.Helper()
	must(t, tr.Poll())
	s := tr.Stats()
	threads := tr.obj.coll.Maps[captureMapThreads]
	claims := tr.obj.coll.Maps[captureMapClaims]
	if n, m := entries(threads), entries(claims); s.Threads != 0 || s.Processes != 0 || n != 0 || m != 0 {
		t.Errorf("left behind: %d slots, %d targets, %d threads, %d claims", s.Threads, s.Processes, n, m)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.exits) == 0 || !slices.ContainsFunc(r.exits, func(e Exit) bool { return e.ProcessOver }) {
		t.Errorf("no notice that the process is over: %+v", r.exits)
	}
}

func entries(m *ebpf.Map) int {
	n := 0
	var key uint32
	value := make([]byte, m.ValueSize())
	for it := m.Iterate(); it.Next(&key, &value); {
		n++
	}
	return n
}

func TestTargetLeavesNothingBehind(t *testing.T) {
	tr, r := startTracer(t, testConfig())
	h := startHelper(t, "threads 200 10")
	must(t, tr.AddProcess(h.pid()))
	h.say()
	h.hear()
	h.end()
	leavesNothing(t, tr, r)
	// Its last call did not return, and is there nevertheless, before its end.
	if n := r.count(func(c Call) bool { return c.Flags&FlagUnreturned != 0 && c.Number == unix.SYS_EXIT_GROUP }); n != 1 {
		t.Errorf("exit_group delivered %d times, want once", n)
	}
}

func TestRemoveProcess(t *testing.T) {
	tr, r := startTracer(t, testConfig())
	h := startHelper(t, "calls 100")
	must(t, tr.AddProcess(h.pid()))
	if s := tr.Stats(); s.Threads == 0 || s.Processes != 1 {
		t.Errorf("following %d threads of %d processes", s.Threads, s.Processes)
	}
	must(t, tr.RemoveProcess(h.pid()))
	must(t, tr.RemoveProcess(h.pid()))
	h.say()
	h.hear()
	must(t, tr.Poll())
	if n := r.count(number(unix.SYS_GETPPID)); n != 0 {
		t.Errorf("%d calls after it was removed", n)
	}
	if s := tr.Stats(); s.Threads != 0 || s.Processes != 0 {
		t.Errorf("still following %d threads of %d processes", s.Threads, s.Processes)
	}
}

func TestRefusedProcesses(t *testing.T) {
	tr, _ := startTracer(t, testConfig())
	ended := exec.Command("true")
	must(t, ended.Start())
	zombie := int32(ended.Process.Pid)
	eventually(t, "true has ended", func() bool { return alive(zombie) != nil })
	for pid, want := range map[int32]string{
		int32(os.Getpid()):                 "never traces itself",
		zombie:                             "has ended",
		1 << 22:                            "there is no process",
		otherThread(t, int32(os.Getpid())): "is a thread of process",
	} {
		if err := tr.AddProcess(pid); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("AddProcess(%d) = %v, want %q", pid, err, want)
		}
	}
	_ = ended.Wait()
	if s := tr.Stats(); s.Processes != 0 || s.Threads != 0 {
		t.Errorf("following %d threads of %d processes", s.Threads, s.Processes)
	}
}

func otherThread(t *testing.T, pid int32) int32 {
	list, err := os.ReadDir("/proc/self/task")
	must(t, err)
	for _, e := range list {
		if tid := int32(atoi(t, e.Name())); tid != pid {
			return tid
		}
	}
	t.Skip("one thread only")
	return 0
}

// TestToldBeforeRecorded: whoever is told that calls are recorded from now on has not missed
// any, however long it takes to attach the hooks.
func TestToldBeforeRecorded(t *testing.T) {
	tr, r := startTracer(t, testConfig())
	must(t, tr.Detach())
	told := false
	r.onTracing = func(e Tracing) { // in the goroutine that attaches
		if !e.On {
			return
		}
		told = true
		before := tr.Stats().Attached
		time.Sleep(10 * time.Millisecond)
		if after := tr.Stats().Attached; after != before {
			t.Errorf("calls are recorded already: for %v", after-before)
		}
	}
	must(t, tr.Attach())
	must(t, tr.Detach())
	if !told {
		t.Error("nothing was told")
	}
}

// TestAttachAgain holds a call entered in one attachment from pairing with a
// return in the next: it is in flight at the end of the first, and cut at the
// edge of the last. It reports what attaching costs.
func TestAttachAgain(t *testing.T) {
	tr, r := startTracer(t, testConfig())
	h := startHelper(t, "block")
	must(t, tr.AddProcess(h.pid()))
	h.say()
	h.hear()
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		if calls, err := tr.InFlight(0); err != nil || time.Now().After(deadline) {
			t.Fatalf("the helper does not block: %+v, %v", calls, err)
		} else if slices.ContainsFunc(calls, number(unix.SYS_READV)) {
			break
		}
	}
	var attach, detach []time.Duration
	for range 5 {
		start := time.Now()
		must(t, tr.Detach())
		detach = append(detach, time.Since(start))
		start = time.Now()
		must(t, tr.Attach())
		attach = append(attach, time.Since(start))
	}
	slices.Sort(attach)
	slices.Sort(detach)
	t.Logf("median of 5: attach %v, detach %v", attach[2], detach[2])
	if attach[2]+detach[2] > 500*time.Millisecond {
		t.Errorf("attach and detach take %v", attach[2]+detach[2])
	}
	if calls, err := tr.InFlight(0); err != nil || slices.ContainsFunc(calls, number(unix.SYS_READV)) {
		t.Errorf("a call of an earlier attachment is in flight: %+v, %v", calls, err)
	}
	h.say()
	h.hear()
	must(t, tr.Poll())
	returned := time.Now().UnixNano()
	must(t, tr.Detach())
	checkComplete(t, tr.Stats())
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.edges) != 12 {
		t.Fatalf("%d edges of 6 attachments", len(r.edges))
	}
	for i, e := range r.edges {
		if e.On != (i%2 == 0) || i > 0 && e.Time <= r.edges[i-1].Time {
			t.Fatalf("edge %d: %+v, before it %+v", i, e, r.edges[i-1])
		}
	}
	of := func(c Call) bool { return c.PID == h.pid() && c.Number == unix.SYS_READV }
	first := r.edges[1]
	i := slices.IndexFunc(first.InFlight, of)
	if i < 0 || first.InFlight[i].Start <= r.edges[0].Time || first.InFlight[i].Start+int64(first.InFlight[i].Duration) != first.Time {
		t.Errorf("the blocked call is not in flight at the end of the first attachment: %+v", first)
	}
	if last := r.edges[11].InFlight; slices.ContainsFunc(last, of) {
		t.Errorf("the call that returned is in flight at the end: %+v", last)
	}
	var seen []Call
	for _, c := range r.calls {
		if of(c) {
			seen = append(seen, c)
		}
	}
	if len(seen) != 1 {
		t.Fatalf("the call that returned was delivered %d times", len(seen))
	}
	if c := seen[0]; c.Flags != FlagCut || c.Return != 1 || c.Start != r.edges[10].Time || c.Start+int64(c.Duration) > returned {
		t.Errorf("the call that was cut: %+v, attached at %d", c, r.edges[10].Time)
	}
}

// TestPassedCalls counts what the hooks meet of processes that are no targets.
func TestPassedCalls(t *testing.T) {
	cfg := testConfig()
	cfg.Continuous = false
	tr, r := startTracer(t, cfg)
	h := startHelper(t, "calls 10000")
	must(t, tr.Attach())
	h.say()
	h.hear()
	must(t, tr.Detach())
	s := tr.Stats()
	// An emulated machine is slow, and may be busy with something else all the time.
	if os.Getenv(kernelTestEnv) == "" && (s.Tax <= 0 || s.Tax > 100*time.Microsecond) {
		t.Errorf("the hooks add %v to a call", s.Tax)
	}
	if s.Passed < 30000 || s.Produced != 0 || r.count(func(Call) bool { return true }) != 0 {
		t.Errorf("%d calls passed of at least 30000, %d recorded", s.Passed, s.Produced)
	}
	must(t, tr.AddProcess(h.pid()))
	before := s.Passed
	h2 := startHelper(t, "calls 10000")
	h2.say()
	h2.hear()
	if s = tr.Stats(); s.Passed != before {
		t.Errorf("%d calls passed with no hook attached", s.Passed-before)
	}
}

// programs lists the loaded programs that bear the names of ours.
func programs(t *testing.T) map[ebpf.ProgramID]string {
	t.Helper()
	names := map[string]bool{}
	spec, err := loadCapture()
	must(t, err)
	for name := range spec.Programs {
		names[name[:min(len(name), 15)]] = true // as the kernel cuts them
	}
	found := map[ebpf.ProgramID]string{}
	for id := ebpf.ProgramID(0); ; {
		if id, err = ebpf.ProgramGetNextID(id); err != nil {
			return found
		}
		p, err := ebpf.NewProgramFromID(id)
		if err != nil {
			continue
		}
		if info, err := p.Info(); err == nil && names[info.Name] {
			found[id] = info.Name
		}
		_ = p.Close()
	}
}

func TestKilledTracerLeavesNoProgram(t *testing.T) {
	tr, _ := startTracer(t, testConfig()) // skips where tracing is not allowed
	must(t, tr.Close())
	before := programs(t)
	h := startHelper(t, "trace")
	h.say()
	if got := h.hear(); got[0] != "ready" {
		t.Fatalf("the tracer says %v", got)
	}
	added := func() int {
		n := 0
		for id := range programs(t) {
			if _, ok := before[id]; !ok {
				n++
			}
		}
		return n
	}
	if added() == 0 {
		t.Fatal("a running tracer has no programs loaded")
	}
	must(t, h.cmd.Process.Kill())
	_ = h.cmd.Wait()
	eventually(t, "all programs of the killed tracer are gone", func() bool { return added() == 0 })
}

// TestPrivileges runs a tracer as nobody, with and without the two capabilities.
func TestPrivileges(t *testing.T) {
	startTracer(t, testConfig()) // skips where tracing is not allowed
	if os.Getuid() != 0 {
		t.Skip("needs root, to give up being root")
	}
	// Nobody may not look into the directory the test binary is in.
	dir, err := os.MkdirTemp("", "perfscope-capture")
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	must(t, os.Chmod(dir, 0o755))
	self, err := os.ReadFile("/proc/self/exe")
	must(t, err)
	binary := filepath.Join(dir, "capture.test")
	must(t, os.WriteFile(binary, self, 0o755))
	for _, c := range []struct {
		caps []uintptr
		want string
	}{
		{[]uintptr{unix.CAP_BPF, unix.CAP_PERFMON}, "ready 0"},
		{[]uintptr{unix.CAP_BPF}, "lacks CAP_PERFMON, which"},
		{nil, "lacks CAP_BPF and CAP_PERFMON, which"},
	} {
		h := startHelper(t, "trace", func(cmd *exec.Cmd) {
			cmd.Path, cmd.Dir = binary, dir
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}, AmbientCaps: c.caps}
		})
		h.say()
		if got := strings.Join(h.hear(), " "); !strings.Contains(got, c.want) {
			t.Errorf("with %v: %q, want %q", c.caps, got, c.want)
		}
	}
}

func TestPIDNamespace(t *testing.T) {
	for _, c := range []struct {
		inode uint64
		self  string
		want  string
	}{
		{initialPIDNamespace, "42", ""},
		{4026532000, "42", "hostPID: true"},
		{initialPIDNamespace, "43", "/proc is of another PID namespace"},
	} {
		if err := checkPIDNamespace(c.inode, c.self, 42); (err == nil) != (c.want == "") || (err != nil && !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	startTracer(t, testConfig()) // skips where tracing is not allowed
	if os.Getuid() != 0 {
		t.Skip("needs root, to make a PID namespace")
	}
	h := startHelper(t, "trace", func(cmd *exec.Cmd) {
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
	})
	h.say()
	if got := strings.Join(h.hear(), " "); !strings.Contains(got, "in a PID namespace of its own") {
		t.Errorf("in a new PID namespace: %q", got)
	}
}

// TestExitTellsCPUTime has a thread compute and end between two snapshots.
func TestExitTellsCPUTime(t *testing.T) {
	tr, r := startTracer(t, testConfig())
	h := startHelper(t, "brief 100ms")
	must(t, tr.AddProcess(h.pid()))
	h.say()
	said := h.hear()
	tid, used := int32(atoi(t, said[0])), time.Duration(atoi(t, said[1]))
	var exit Exit
	eventually(t, "the thread has ended", func() bool {
		must(t, tr.Poll())
		r.mu.Lock()
		defer r.mu.Unlock()
		i := slices.IndexFunc(r.exits, func(e Exit) bool { return e.TID == tid })
		if i >= 0 {
			exit = r.exits[i]
		}
		return i >= 0
	})
	t.Logf("used %v, the notice says %v", used, exit.CPUTime)
	if exit.PID != h.pid() || exit.ProcessOver || exit.CPUTime < used-20*time.Millisecond || exit.CPUTime > used+50*time.Millisecond {
		t.Errorf("%+v of a thread that used %v", exit, used)
	}
}

// TestManyProcesses adds and removes processes by the dozen with few walks over
// the tasks of the host.
func TestManyProcesses(t *testing.T) {
	tr, r := startTracer(t, testConfig())
	const n = 12
	var helpers []*helper
	pids := []int32{int32(os.Getpid())} // refused, which does the others no harm
	for range n {
		h := startHelper(t, "calls 100")
		helpers, pids = append(helpers, h), append(pids, h.pid())
	}
	for i, err := range tr.AddProcesses(append(pids, 1<<22)) {
		if refused := i == 0 || i == n+1; (err != nil) != refused {
			t.Errorf("process %d: %v", i, err)
		}
	}
	if tr.walks != 1 {
		t.Errorf("%d walks over all tasks to add %d processes", tr.walks, n)
	}
	s := tr.Stats()
	if s.Processes != n || s.Threads < n {
		t.Errorf("following %d threads of %d processes", s.Threads, s.Processes)
	}
	// All but the last two go; one of them comes back at once.
	for _, h := range helpers[:n-2] {
		must(t, tr.RemoveProcess(h.pid()))
	}
	must(t, tr.AddProcess(helpers[0].pid()))
	left := map[int32]bool{helpers[0].pid(): true, helpers[n-2].pid(): true, helpers[n-1].pid(): true}
	eventually(t, "the threads of the removed are let go", func() bool {
		tr.mu.Lock()
		defer tr.mu.Unlock()
		return tr.forget == nil
	})
	tr.mu.Lock()
	walks := tr.walks
	tr.mu.Unlock()
	if walks < 4 || walks > 8 { // seed, forget at once, seed, forget later
		t.Errorf("%d walks over all tasks to remove %d processes", walks, n-2)
	}
	if s := tr.Stats(); s.Processes != len(left) {
		t.Errorf("following %d processes, want %d", s.Processes, len(left))
	}
	must(t, tr.Poll())
	r.mu.Lock()
	r.calls = nil
	r.mu.Unlock()
	for _, h := range helpers {
		h.say()
		h.hear()
	}
	must(t, tr.Poll())
	for i, h := range helpers {
		want := 0
		if left[h.pid()] {
			want = 100
		}
		if got := r.count(func(c Call) bool { return c.PID == h.pid() && c.Number == unix.SYS_GETPPID }); got != want {
			t.Errorf("process %d: %d calls delivered, want %d", i, got, want)
		}
	}
	must(t, tr.RemoveProcess(helpers[0].pid()))
	must(t, tr.RemoveProcess(helpers[1].pid()))
}
