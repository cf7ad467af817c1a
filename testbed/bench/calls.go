package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"

	"github.com/perfscope/perfscope/internal/capture"
)

const (
	// roundsInside is for how many rounds what can be switched within
	// milliseconds is compared, roundsOutside for the tools that take seconds
	// to start.
	roundsInside, roundsOutside = 101, 31
	// settle is how long a tool gets to attach.
	settle = 4 * time.Second
)

// Calls is the time of one turn of a loop, in nanoseconds, alone and under each
// of the tools; nil is that a tool could not be had, and Reasons says why.
type Calls struct {
	Kind    string              `json:"kind"`
	NS      map[string]*float64 `json:"ns"`
	Reasons map[string]string   `json:"reasons,omitempty"`
}

// discard is a handler that keeps nothing.
type discard struct{}

func (discard) Calls([]capture.Call)       {}
func (discard) Stack(*capture.RawStack)    {}
func (discard) Sample(capture.Sample)      {}
func (discard) Snapshot(*capture.Snapshot) {}
func (discard) Fork(capture.Fork)          {}
func (discard) Exec(capture.Exec)          {}
func (discard) Exit(capture.Exit)          {}
func (discard) Tracing(capture.Tracing)    {}
func (discard) Waking(capture.Waking)      {}
func (discard) Context(capture.Context)    {}

// MeasureCalls measures a loop, getppid or readwrite, under everything.
func MeasureCalls(ctx context.Context, kind string, say func(string, ...any)) (*Calls, error) {
	// bpftrace wants it there already; the others mount it themselves.
	if _, err := os.Stat("/sys/kernel/tracing/events"); err != nil {
		_ = syscall.Mount("tracefs", "/sys/kernel/tracing", "tracefs", 0, "")
	}
	l, err := startLoop(kind)
	if err != nil {
		return nil, err
	}
	defer l.stop()
	c := &Calls{Kind: kind, NS: map[string]*float64{}, Reasons: map[string]string{}}
	put := func(name string, ns []float64) {
		v := median(ns)
		c.NS[name] = &v
		say("%-10s %-14s %8.0f ns", kind, name, v)
	}
	if err := inside(l, put); err != nil {
		return nil, err
	}
	for _, t := range tools(l.cmd.Process.Pid) {
		ns, err := under(ctx, l, t)
		if err != nil {
			c.NS[t.name], c.Reasons[t.name] = nil, err.Error()
			say("%-10s %-14s not to be had: %v", kind, t.name, err)
			continue
		}
		put(t.name, ns)
	}
	return c, nil
}

// inside compares what this process can switch: nothing, two empty programs, two
// that only read the clock, and the capture with and without the loop as its
// target.
func inside(l *loop, put func(string, []float64)) error {
	pid := int32(l.cmd.Process.Pid) //nolint:gosec // a process id
	plain, err := tracer(func(c *capture.Config) { c.StackEvery = 0 })
	if err != nil {
		return err
	}
	defer plain.Close()
	stacks, err := tracer(func(*capture.Config) {})
	if err != nil {
		return err
	}
	defer stacks.Close()
	traced := func(t *capture.Tracer, target bool) (float64, error) {
		if target {
			if err := t.AddProcess(pid); err != nil {
				return 0, err
			}
		}
		if err := t.Attach(); err != nil {
			return 0, err
		}
		ns, err := l.round()
		return ns, errors.Join(err, t.Detach(), t.RemoveProcess(pid))
	}
	probed := func(clock bool) func() (float64, error) {
		return func() (float64, error) {
			detach, err := attachPair(clock)
			if err != nil {
				return 0, err
			}
			ns, err := l.round()
			return ns, errors.Join(err, detach())
		}
	}
	modes := []struct {
		name string
		one  func() (float64, error)
	}{
		{"bare", l.round},
		{"empty_probes", probed(false)},
		{"clock_probes", probed(true)},
		{"untraced", func() (float64, error) { return traced(plain, false) }},
		{"traced", func() (float64, error) { return traced(plain, true) }},
		{"traced_stacks", func() (float64, error) { return traced(stacks, true) }},
	}
	all := make([][]float64, len(modes))
	for range roundsInside {
		for i, m := range modes {
			ns, err := m.one()
			if err != nil {
				return fmt.Errorf("%s: %w", m.name, err)
			}
			all[i] = append(all[i], ns)
		}
	}
	for i, m := range modes {
		put(m.name, all[i])
	}
	return nil
}

// tracer is the shipped capture without its watch.
func tracer(change func(*capture.Config)) (*capture.Tracer, error) {
	cfg := capture.DefaultConfig()
	cfg.SampleHz, cfg.SnapshotInterval = 0, 0
	change(&cfg)
	t, err := capture.New(cfg, discard{}, nil)
	if err != nil {
		return nil, err
	}
	return t, t.Start(context.Background())
}

// attachPair attaches a program to each hook that does nothing, or no more than
// read the clock: a tool that wants to know how long a call took has to.
func attachPair(clock bool) (detach func() error, err error) {
	var closers []io.Closer
	detach = func() error {
		var errs []error
		for _, c := range closers {
			errs = append(errs, c.Close())
		}
		return errors.Join(errs...)
	}
	code := asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()}
	if clock {
		code = append(asm.Instructions{asm.FnKtimeGetNs.Call()}, code...)
	}
	for _, hook := range []string{"sys_enter", "sys_exit"} {
		p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
			Name: "pair", Type: ebpf.Tracing, AttachType: ebpf.AttachTraceRawTp, AttachTo: hook, License: "Dual BSD/GPL",
			Instructions: code,
		})
		if err != nil {
			return nil, errors.Join(err, detach())
		}
		closers = append(closers, p)
		l, err := link.AttachTracing(link.TracingOptions{Program: p})
		if err != nil {
			return nil, errors.Join(err, detach())
		}
		closers = append(closers, l)
	}
	return detach, nil
}

// tool is a program that people use for the same.
type tool struct {
	name string
	args []string
}

// tools watch a process's calls with their durations, as their manuals say.
func tools(pid int) []tool {
	p := strconv.Itoa(pid)
	return []tool{
		{"bpftrace", []string{"bpftrace", "-e", "tracepoint:raw_syscalls:sys_enter /pid == " + p + "/ { @start[tid] = nsecs; } " +
			"tracepoint:raw_syscalls:sys_exit /@start[tid]/ { @ns[args->id] = hist(nsecs - @start[tid]); delete(@start[tid]); }"}},
		{"perf_record", []string{"perf", "record", "-q", "-e", "raw_syscalls:sys_enter", "-e", "raw_syscalls:sys_exit", "-p", p, "-o", "/dev/null"}},
		{"perf_trace", []string{"perf", "trace", "-p", p, "-o", "/dev/null"}},
		{"strace", []string{"strace", "-T", "-p", p, "-o", "/dev/null"}},
	}
}

// under measures the loop while a tool watches it.
func under(ctx context.Context, l *loop, t tool) ([]float64, error) {
	if _, err := exec.LookPath(t.args[0]); err != nil {
		return nil, fmt.Errorf("%s is not installed", t.args[0])
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	var said strings.Builder
	cmd := exec.CommandContext(ctx, t.args[0], t.args[1:]...)
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // it is ended by a signal
	}()
	select {
	case <-ended:
		return nil, fmt.Errorf("it ended at once: %s", strings.Join(strings.Fields(said.String()), " "))
	case <-time.After(settle):
	}
	var all []float64
	var err error
	for range roundsOutside {
		var ns float64
		if ns, err = l.round(); err != nil {
			break
		}
		all = append(all, ns)
	}
	select {
	case <-ended:
		err = errors.Join(err, fmt.Errorf("it ended meanwhile: %s", strings.Join(strings.Fields(said.String()), " ")))
	default:
		_ = cmd.Process.Signal(syscall.SIGINT)
		<-ended
	}
	return all, err
}
