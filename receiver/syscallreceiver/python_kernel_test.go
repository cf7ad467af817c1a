//go:build linux && (amd64 || arm64)

package syscallreceiver

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// pythonProgram computes for two seconds of CPU time and sleeps for one, in two
// functions, when it reads a line.
const pythonProgram = `
import sys, time
def computes():
    until = time.process_time() + 2
    n = 0
    while time.process_time() < until:
        n += sum(range(1000))
def waits():
    time.sleep(1)
print("ready", flush=True)
sys.stdin.readline()
computes()
waits()
print("done", flush=True)
sys.stdin.readline()
`

// TestKernelPython names the functions of a program in Python, on a CPU and waiting.
func TestKernelPython(t *testing.T) {
	const python = "/usr/bin/python3"
	if _, err := os.Stat(python); err != nil {
		t.Skip("no Python here: ", err)
	}
	program := startProgram(t, python, "-c", pythonProgram)
	program.needs = []string{"sample stacks", "snapshot stacks"}
	computing, waiting, all := int64(0), int64(0), int64(0)
	for _, l := range program.record(func(c *Config) { c.Targets = []TargetConfig{{OTelServiceName: "traced-*"}} }) {
		for _, d := range decode(t, l) {
			for _, b := range d.batches {
				for _, e := range b.Events {
					if e.Kind == threadtrace.KindSample {
						all += e.Duration
					}
					if e.Stack == 0 {
						continue
					}
					switch frames := framesOf(b.Stacks[e.Stack-1]); {
					case e.Kind == threadtrace.KindSample && strings.Contains(frames, " computes <module>"):
						computing += e.Duration
					case e.Kind == threadtrace.KindSample && strings.HasPrefix(frames, "computes <module>"):
						computing += e.Duration
					case e.Kind == threadtrace.KindBlocked && strings.Contains(frames, " waits <module>"):
						waiting += e.Duration
					}
				}
			}
		}
	}
	t.Logf("computing %d ms of %d ms sampled, waiting %d ms", computing/1e6, all/1e6, waiting/1e6)
	assert.Positive(t, computing)
	assert.LessOrEqual(t, computing, all, "no CPU time counts twice")
	assert.Positive(t, waiting)
}
