package bench

import (
	"context"
	"errors"
	"os"
	"runtime"
	"syscall"

	"github.com/perfscope/perfscope/internal/capture"
)

// handover is a loop of two threads that pass a byte to and fro over two pipes: each
// turn has four calls, and each thread wakes the other once.
func handover() (body func()) {
	runtime.GOMAXPROCS(4) // a thread that waits keeps its processor here
	var there, back [2]int
	if err := errors.Join(syscall.Pipe(there[:]), syscall.Pipe(back[:])); err != nil {
		os.Exit(1)
	}
	go func() {
		runtime.LockOSThread()
		b := make([]byte, 1)
		for {
			call(syscall.SYS_READ, there[0], b)
			call(syscall.SYS_WRITE, back[1], b)
		}
	}()
	b := make([]byte, 1)
	return func() {
		call(syscall.SYS_WRITE, there[1], b)
		call(syscall.SYS_READ, back[0], b)
	}
}

// MeasureWakings measures a loop of two threads that wake each other, alone, while its
// calls are recorded, and while those are and it is told who wakes whom.
func MeasureWakings(_ context.Context, say func(string, ...any)) (*Calls, error) {
	l, err := startLoop("handover")
	if err != nil {
		return nil, err
	}
	defer l.stop()
	pid := int32(l.cmd.Process.Pid) //nolint:gosec // a process id
	without, err := tracer(func(c *capture.Config) { c.WakingRate = 0 })
	if err != nil {
		return nil, err
	}
	defer without.Close()
	with, err := tracer(func(*capture.Config) {})
	if err != nil {
		return nil, err
	}
	defer with.Close()
	recorded := func(t *capture.Tracer, target bool) func() (float64, error) {
		return func() (float64, error) {
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
	}
	modes := []struct {
		name string
		one  func() (float64, error)
	}{
		{"bare", l.round}, {"untraced", recorded(without, false)}, {"untraced_wakings", recorded(with, false)},
		{"traced", recorded(without, true)}, {"traced_wakings", recorded(with, true)},
	}
	all := make([][]float64, len(modes))
	for range roundsInside {
		for i, m := range modes {
			ns, err := m.one()
			if err != nil {
				return nil, err
			}
			all[i] = append(all[i], ns)
		}
	}
	c := &Calls{Kind: "handover", NS: map[string]*float64{}}
	for i, m := range modes {
		v := median(all[i])
		c.NS[m.name] = &v
		say("%-10s %-16s %8.0f ns", c.Kind, m.name, v)
	}
	return c, nil
}

// wakingRows are the rows of the table of wakings.
var wakingRows = []struct{ name, text string }{
	{"bare", "bare"},
	{"untraced", "calls recorded, a process that is no target"},
	{"untraced_wakings", "and who wakes whom (the default)"},
	{"traced", "calls recorded, with stacks"},
	{"traced_wakings", "and who wakes whom (the default)"},
}

// wakings is the table of what it costs to be told who wakes whom.
func (r *Report) wakings(p printer) {
	c := r.Calls["handover"]
	if c == nil {
		return
	}
	p("\n## Who wakes whom\n")
	p("Two threads pass a byte to and fro over two pipes: four calls and two wakings a turn;")
	p("nanoseconds a turn, median of rounds. It is paid only while calls are recorded. Of waits")
	p("of a millisecond and more, 120 a second and processor have the stacks of both threads")
	p("taken as well, which are two of those that a call may have.\n")
	p("| | ns | added |\n|---|---|---|")
	for _, row := range wakingRows {
		p("| %s | %s |", row.text, cell(c, row.name))
	}
}
