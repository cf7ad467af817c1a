package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"github.com/perfscope/perfscope/testbed/runner"
)

// Interpreted is what the collector takes for a service of an interpreter, with and
// without looks at which functions of its program it is in.
type Interpreted struct {
	Program string `json:"program"`
	Threads int    `json:"threads"`
	Mode    Mode   `json:"mode"`
	Looks   bool   `json:"looks"`
	Figures
}

// pythonThreads is a service in Python: threads, each fifteen functions deep, that
// compute for a moment and wait for a moment, so that each snapshot finds waits that it has
// not seen before. It ends when its input does.
const pythonThreads = `
import sys, threading, time
def work(depth):
    if depth:
        return work(depth - 1)
    sum(i * i for i in range(2000))
    time.sleep(0.05)
def serve():
    while True:
        work(15)
for _ in range(%d):
    threading.Thread(target=serve, daemon=True).start()
print("ready", flush=True)
sys.stdin.read()
`

// python is the Python of Debian.
const python = "/usr/bin/python3"

// MeasureInterpreted measures a service of 32 threads.
func MeasureInterpreted(ctx context.Context, o runner.Options, say func(string, ...any)) ([]Interpreted, error) {
	const threads = 32
	var all []Interpreted
	for _, mode := range []Mode{Watch, Burst} {
		for _, looks := range []bool{false, true} {
			r := Interpreted{Program: "python3", Threads: threads, Mode: mode, Looks: looks}
			if err := r.measure(ctx, o); err != nil {
				return nil, err
			}
			say("python3 with %d threads, %-6s looks %-5v collector %.4f CPUs, %.0f MiB", threads, mode, looks, r.CPU, r.RSS)
			all = append(all, r)
		}
	}
	return all, nil
}

func (r *Interpreted) measure(ctx context.Context, o runner.Options) (err error) {
	cmd := exec.CommandContext(ctx, python, "-c", fmt.Sprintf(pythonThreads, r.Threads))
	cmd.Env = append(os.Environ(), "OTEL_SERVICE_NAME=bench-python")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	defer func() {
		_ = in.Close()
		_ = cmd.Wait()
	}()
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		return err
	}
	if !r.Looks {
		o.Overlays = append(o.Overlays, "yaml:receivers::syscall::stacks::interpreters: false")
	}
	a, err := startAgent(ctx, o, r.Mode)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Stop()) }()
	if err := pause(ctx, max(scaleWarm, r.Mode.warm())); err != nil {
		return err
	}
	begun, err := look(ctx, a)
	if err != nil {
		return err
	}
	if err := pause(ctx, 2*scaleFor); err != nil {
		return err
	}
	ended, err := look(ctx, a)
	if err != nil {
		return err
	}
	r.between(begun, ended)
	return nil
}
