package scenario

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/perfscope/perfscope/testbed/load"
	"github.com/perfscope/perfscope/testbed/server"
)

// check says why a fault does not show; before is the state without it.
type check func(before, after state) error

// checks are the scenarios' by name: what must be true once the fault is on.
var checks = map[string]check{}

func addCheck(name string, c check) { checks[name] = c }

// looks is how many times a check is tried: in one look of a second and a half few
// requests, or none, may meet the fault.
const looks = 5

// slow expects the 99th percentile to grow by a factor.
func slow(factor float64) check {
	return func(before, after state) error {
		if float64(after.figures.P99) < factor*float64(before.figures.P99) {
			return fmt.Errorf("99th percentile only went from %s to %s", before.figures.P99, after.figures.P99)
		}
		return nil
	}
}

// burns expects the server itself to use more CPU, by a share of one core, half of
// what it was seen to be, or twice as much as before: processors differ, and what else
// runs on them takes from both.
func burns(share float64) check {
	return func(before, after state) error {
		if after.cpu < min(before.cpu+share, 2*before.cpu+0.02) {
			return fmt.Errorf("CPU share only went from %.2f to %.2f", before.cpu, after.cpu)
		}
		return nil
	}
}

// maps expects the server to touch new pages, four times as many as before at the
// least, half of what it was seen to be while its first buffers still grew: a count,
// where the time that it takes is within what chance adds.
func maps(before, after state) error {
	if after.pageFaults < 1000+4*before.pageFaults {
		return fmt.Errorf("page faults only went from %.0f to %.0f per second", before.pageFaults, after.pageFaults)
	}
	return nil
}

func init() {
	addCheck("redis-fsync", nil) // how much slower is up to the disk
	addCheck("redis-accept", burns(0.2))
	addCheck("nginx-regex", burns(0.3))
	addCheck("redis-keys", slow(2))
	addCheck("postgres-lock", func(_, after state) error {
		if after.figures.Requests > 20 {
			return fmt.Errorf("%d requests were answered while the table was locked", after.figures.Requests)
		}
		return nil
	})
}

// TestScenarios brings every server up, loads it and turns its fault on: what
// the collector is shown must be real.
func TestScenarios(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: the servers run under accounts of their own")
	}
	for _, sc := range append(All(), Healthy()...) {
		t.Run(sc.Name, func(t *testing.T) {
			if !sc.Quick && sc.Name != Healthy()[0].Name && os.Getenv("SCENARIOS") != "all" {
				t.Skip("it takes minutes for all: SCENARIOS=all runs this one, too")
			}
			w, err := sc.Start(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := w.Server.Stop(); err != nil {
					t.Error(err)
				}
				if w.Stop != nil {
					w.Stop()
				}
				if _, err := os.Stat(w.Server.Dir); err == nil {
					t.Errorf("%s is left behind", w.Server.Dir)
				}
			}()
			l := load.Start(t.Context(), w.Load)
			defer l.Stop()
			time.Sleep(300 * time.Millisecond) // connections, caches
			look := func() state {
				l.Take()
				was, start := usage(w.Server.PID()), time.Now()
				time.Sleep(1500 * time.Millisecond)
				now, seconds := usage(w.Server.PID()), time.Since(start).Seconds()
				return state{l.Take(), (now.cpu - was.cpu) / seconds, (now.pageFaults - was.pageFaults) / seconds}
			}
			before := look()
			// A compiler at work is not what the fault is compared with.
			for n := 0; compiles(sc.Language) && n < 5; n++ {
				was := before.cpu
				if before = look(); before.cpu > 0.9*was {
					break
				}
			}
			t.Logf("normal: %+v", before)
			if before.figures.Failures > 0 || before.figures.PerSecond < w.Load.Rate/3 {
				t.Errorf("the load does not run: %+v", before.figures)
			}
			if w.Fault == nil {
				return
			}
			end, err := w.Fault(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer end()
			var hidden error
			for range looks {
				after := look()
				t.Logf("fault:  %+v", after)
				if hidden = shows(sc.Name, before, after); hidden == nil {
					return
				}
			}
			t.Error(hidden)
		})
	}
}

// shows says why a scenario's fault does not show, if it can be told by its figures.
func shows(name string, before, after state) error {
	if c := checks[name]; c != nil {
		return c(before, after)
	}
	return nil
}

// compiles tells whether a language's runtime compiles a program while it runs.
func compiles(l Language) bool { return l == Java || l == Node }

// state is how a server does: what its load sees, its share of a CPU, and the
// pages per second that it touches for the first time.
type state struct {
	figures    load.Figures
	cpu        float64
	pageFaults float64
}

// usage is the CPU time of a server's processes so far, in seconds to 10 ms, and the
// number of their page faults: a server may be a process that only starts its workers.
func usage(pid int) (u state) {
	for _, pid := range server.Descendants(pid) {
		data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		if err != nil {
			continue // it has ended
		}
		line := string(data)
		fields := strings.Fields(line[strings.LastIndex(line, ") ")+2:])
		pages, _ := strconv.Atoi(fields[7])
		user, _ := strconv.Atoi(fields[11])
		system, _ := strconv.Atoi(fields[12])
		u.cpu += float64(user+system) / 100
		u.pageFaults += float64(pages)
	}
	return u
}
