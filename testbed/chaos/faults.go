package chaos

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/perfscope/perfscope/testbed/agent"
	"github.com/perfscope/perfscope/testbed/server"
)

// Fault is one thing that hurts.
type Fault struct {
	Name string
	// Before prepares it before the collector starts; may be nil.
	Before func(*scene) (undo func() error, err error)
	// Begin begins it; over ends it.
	Begin func(context.Context, *scene) (over func() error, err error)
	// Kills is set when the collector ends and has to learn anew.
	Kills bool
	// Short is set on those that continuous integration runs.
	Short bool
}

func nothing() error { return nil }

// program runs programs of the hostile service.
func program(lines ...[]string) func(context.Context, *scene) (func() error, error) {
	return func(_ context.Context, s *scene) (func() error, error) {
		for _, l := range lines {
			if _, err := s.start("hostile", l[0], l[1:]...); err != nil {
				return nothing, err
			}
		}
		return nothing, nil
	}
}

var hostilePrograms = [][]string{
	{"jit", "append", "120"}, {"jit", "many", "120"}, {"jit", "many", "120"}, {"jit", "sparse", "120"},
	{"jit", "fifo", "120"}, {"jit", "zero", "120"}, {"jit", "shadow", "120"}, {"jit", "names", "120"},
	{"sled-frames", "120"}, {"sled-symbols", "120"}, {"storm", "maps", "16000"}, {"storm", "paths", "8000"},
}

// Faults are all of them.
func Faults() []Fault {
	faults := []Fault{
		{Name: "none", Begin: program()},
		{Name: "perf map that grows", Begin: program(hostilePrograms[0])},
		{Name: "perf maps of many entries", Begin: program(hostilePrograms[1:3]...)},
		{Name: "perf map of a hole", Begin: program(hostilePrograms[3])},
		{Name: "frames without an end", Begin: program(hostilePrograms[8])},
		{Name: "symbols of one address", Begin: program(hostilePrograms[9])},
		{Name: "mappings and paths", Begin: program(hostilePrograms[10:]...)},
		{Name: "hung file system", Begin: hungFiles},
		{Name: "forks", Begin: program([]string{"storm", "forks", "20"})},
		{Name: "execs", Begin: program([]string{"storm", "execs", "20"})},
		{Name: "ten thousand threads", Begin: program([]string{"storm", "threads", "10000"})},
		{Name: "stopped", Begin: stopped},
		{Name: "killed", Begin: killed, Kills: true},
		{Name: "exporter blocked", Before: blockedExporter, Begin: program()},
		{Name: "gateway killed", Before: gateway, Begin: gatewayKilled},
		{Name: "disk full", Before: smallDisk, Begin: diskFull},
		{Name: "few descriptors", Begin: fewDescriptors},
		{Name: "memory limit", Begin: memoryLimit},
		{Name: "no CPU", Begin: noCPU},
	}
	faults = append(faults, Fault{Name: "everything hostile at once", Begin: func(ctx context.Context, s *scene) (func() error, error) {
		if _, err := program(hostilePrograms...)(ctx, s); err != nil {
			return nothing, err
		}
		return hungFiles(ctx, s)
	}})
	// The short one has a pause of the collector and all programs in one run.
	faults = append(faults, Fault{Name: "stopped, then everything hostile at once", Short: true, Begin: func(ctx context.Context, s *scene) (func() error, error) {
		if _, err := stopped(ctx, s); err != nil {
			return nothing, err
		}
		if _, err := program(hostilePrograms...)(ctx, s); err != nil {
			return nothing, err
		}
		return hungFiles(ctx, s)
	}})
	return faults
}

// hungFiles has a program on a file system that stops to answer, and one whose
// first argument is a path there.
func hungFiles(_ context.Context, s *scene) (func() error, error) {
	dir := filepath.Join(s.dir, "hung")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nothing, err
	}
	hang, let, err := mountHanging(filepath.Join(s.bin, "sled"), dir)
	if err != nil {
		return nothing, err
	}
	// By a shell: the file system is served by this process, whose threads may have to
	// wait for one that waits for a program to start.
	for range 3 {
		if _, err := s.start("hostile", "/bin/sh", "-c", `exec "$0" "$@"`, filepath.Join(dir, "program"), "120"); err != nil {
			return let, err
		}
	}
	time.Sleep(time.Second)
	if err := hang(); err != nil {
		return let, err
	}
	_, err = s.start("hostile", "/bin/bash", "-c", fmt.Sprintf("exec -a %s/program %s/sled 100", dir, s.bin))
	return let, err
}

func stopped(ctx context.Context, s *scene) (func() error, error) {
	s.pause(true)
	err := s.agent.Signal(syscall.SIGSTOP)
	err = errors.Join(err, wait(ctx, 5*time.Second), s.agent.Signal(syscall.SIGCONT))
	s.pause(false)
	return nothing, err
}

func killed(ctx context.Context, s *scene) (func() error, error) {
	s.pause(true)
	_ = s.agent.StopWith(syscall.SIGKILL, time.Second)
	if err := s.startAgent(ctx); err != nil {
		return nothing, err
	}
	s.follow()
	s.pause(false)
	return nothing, wait(ctx, s.o.Learn)
}

// blockedExporter listens where the collector exports to and never answers.
func blockedExporter(s *scene) (func() error, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nothing, err
	}
	s.env = []string{"PERFSCOPE_EXPORTERS=[debug/anomalies, file/anomalies, otlp_grpc]", "OTEL_EXPORTER_OTLP_ENDPOINT=http://" + l.Addr().String()}
	return l.Close, nil
}

// gateway has the collector export to another one.
func gateway(s *scene) (func() error, error) {
	port, err := server.FreePort()
	if err != nil {
		return nil, err
	}
	addr := fmt.Sprintf("127.0.0.1:%d", port)
	out := filepath.Join(s.dir, "gateway")
	if err := os.MkdirAll(out, 0o755); err != nil {
		return nil, err
	}
	s.gateway, err = agent.Start(context.Background(), agent.Config{
		Binary: s.o.Binary, File: filepath.Join(filepath.Dir(s.o.Config), "gateway.yaml"), Out: out,
		Env: []string{"PERFSCOPE_GATEWAY_ENDPOINT=" + addr},
	})
	if err != nil {
		return nil, err
	}
	s.env = []string{"PERFSCOPE_EXPORTERS=[debug/anomalies, file/anomalies, otlp_grpc]", "OTEL_EXPORTER_OTLP_ENDPOINT=http://" + addr}
	return func() error { return s.gateway.Process.StopWith(syscall.SIGKILL, time.Second) }, nil
}

func gatewayKilled(_ context.Context, s *scene) (func() error, error) {
	return nothing, s.gateway.Signal(syscall.SIGKILL)
}

// smallDisk has the collector's files on a file system of their own, but for the
// records by which its calls are counted: half a message would end them.
func smallDisk(s *scene) (func() error, error) {
	s.records = s.dir + ".records.bin"
	if err := os.Remove(s.records); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	if err := unix.Mount("tmpfs", s.dir, "tmpfs", 0, "size=96m"); err != nil {
		return nothing, err
	}
	return func() error { return unix.Unmount(s.dir, unix.MNT_DETACH) }, nil
}

// diskFull fills it, and makes room after five seconds.
func diskFull(ctx context.Context, s *scene) (func() error, error) {
	// The collector has its files open there already: the file system is filled
	// by what is beside them.
	var st unix.Statfs_t
	if err := unix.Statfs(s.dir, &st); err != nil {
		return nothing, err
	}
	if st.Type != unix.TMPFS_MAGIC {
		return nothing, errors.New("its files are not on a file system of their own")
	}
	fill := filepath.Join(s.dir, "fill")
	f, err := os.Create(fill)
	if err != nil {
		return nothing, err
	}
	piece := make([]byte, 1<<20)
	for err == nil {
		_, err = f.Write(piece)
	}
	if !errors.Is(err, unix.ENOSPC) {
		return nothing, errors.Join(err, f.Close())
	}
	err = errors.Join(wait(ctx, 5*time.Second), f.Close(), os.Remove(fill))
	return nothing, err
}

func fewDescriptors(_ context.Context, s *scene) (func() error, error) {
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.agent.PID()))
	if err != nil {
		return nothing, err
	}
	few := unix.Rlimit{Cur: uint64(len(entries) + 2), Max: uint64(len(entries) + 2)}
	if err := unix.Prlimit(s.agent.PID(), unix.RLIMIT_NOFILE, &few, nil); err != nil {
		return nothing, err
	}
	return program(hostilePrograms[0], hostilePrograms[8], []string{"storm", "execs", "5"})(context.Background(), s)
}

// memoryLimit has the collector in a control group of 512 MiB from now on, beside
// programs that would have it use much.
func memoryLimit(ctx context.Context, s *scene) (func() error, error) {
	dir, limit, err := memoryGroup()
	if err != nil {
		return nothing, err
	}
	dir = filepath.Join(dir, "perfscope-chaos")
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return nothing, err
	}
	err = errors.Join(set(filepath.Join(dir, limit), "512M"), set(filepath.Join(dir, "cgroup.procs"), fmt.Sprint(s.agent.PID())))
	if err != nil {
		return nothing, errors.Join(err, os.Remove(dir))
	}
	_, err = program(hostilePrograms...)(ctx, s)
	return func() error {
		err := s.stopAgent()
		time.Sleep(100 * time.Millisecond)
		return errors.Join(err, os.Remove(dir))
	}, err
}

// memoryGroup is the control group that this process's memory is counted in, and the
// file of its bound: version 1 where there is one, else version 2.
func memoryGroup() (dir, limit string, err error) {
	data, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return "", "", err
	}
	for line := range strings.Lines(string(data)) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		switch {
		case len(fields) < 3:
		case slices.Contains(strings.Split(fields[1], ","), "memory"):
			return filepath.Join("/sys/fs/cgroup/memory", fields[2]), "memory.limit_in_bytes", nil
		case fields[0] == "0" && dir == "":
			dir, limit = filepath.Join("/sys/fs/cgroup", fields[2]), "memory.max"
		}
	}
	return dir, limit, nil
}

// set writes to a file of the kernel's, which must be there.
func set(file, value string) error {
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	return errors.Join(err, f.Close())
}

// noCPU has four spinning threads for each processor.
func noCPU(ctx context.Context, s *scene) (func() error, error) {
	var spin [][]string
	for range 4 * runtime.NumCPU() {
		spin = append(spin, []string{"sled", "60"})
	}
	for _, l := range spin {
		if _, err := s.start("", l[0], l[1:]...); err != nil {
			return nothing, err
		}
	}
	return nothing, ctx.Err()
}
