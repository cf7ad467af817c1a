package server

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/perfscope/perfscope/internal/jvm"
	"github.com/perfscope/perfscope/internal/rootfs"
	"github.com/perfscope/perfscope/testbed/proc"
)

// perfMapEvery is how often a JVM writes down what it has compiled: it does so
// when asked, and only all of it.
const perfMapEvery = 3 * time.Second

// keepPerfMap has a JVM write /tmp/perf-PID.map, the names of its compiled
// code, until it ends; the file goes with it. The JVM must run with
// -XX:+StartAttachListener.
func keepPerfMap(p *proc.Process) {
	tick := time.NewTicker(perfMapEvery)
	defer tick.Stop()
	for {
		select {
		case <-p.Done():
			os.Remove(fmt.Sprintf("/tmp/perf-%d.map", p.PID()))
			os.Remove(fmt.Sprintf("/tmp/.java_pid%d", p.PID())) // left behind by a JVM that was killed
			return
		case <-tick.C:
			_ = jvm.WritePerfMap(context.Background(), &rootfs.Door{}, int32(p.PID())) // one that starts or ends does not answer
		}
	}
}
