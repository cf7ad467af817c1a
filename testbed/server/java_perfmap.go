package server

import (
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

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
			os.Remove(attachSocket(p.PID())) // left behind by a JVM that was killed
			return
		case <-tick.C:
			_ = writePerfMap(p.PID()) // a JVM that starts or ends does not answer
		}
	}
}

func attachSocket(pid int) string { return fmt.Sprintf("/tmp/.java_pid%d", pid) }

// writePerfMap is `jcmd PID Compiler.perfmap` without the second JVM that jcmd
// is: version, command and three arguments, each ended by a zero byte; the
// answer begins with the result.
func writePerfMap(pid int) error {
	c, err := net.DialTimeout("unix", attachSocket(pid), time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(2 * time.Second))
	if _, err := io.WriteString(c, "1\x00jcmd\x00Compiler.perfmap\x00\x00\x00"); err != nil {
		return err
	}
	answer, err := io.ReadAll(c)
	if err != nil {
		return err
	}
	if text := string(answer); !strings.HasPrefix(text, "0\n") {
		return fmt.Errorf("the JVM refuses Compiler.perfmap: %s", text)
	}
	return nil
}
