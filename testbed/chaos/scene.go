// Package chaos runs the collector beside programs and conditions that hurt, with
// a healthy service beside them that is made slow meanwhile: its fault must be
// found, nobody else's events may be held up, and what is lost must be counted.
package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/perfscope/perfscope/testbed/agent"
	"github.com/perfscope/perfscope/testbed/proc"
)

// Result is what became of one fault.
type Result struct {
	Fault string `json:"fault"`
	// Survived is set when the collector ran to the end, or came back by itself
	// where the fault is its end.
	Survived bool `json:"survived"`
	// VictimFound is set when the victim's slow function was named in time,
	// FoundAfter is that time in seconds.
	VictimFound bool    `json:"victim_found"`
	FoundAfter  float64 `json:"found_after_seconds"`
	// LostCounted is set when the calls delivered and those counted as lost are
	// the calls made; null where the collector itself was not there.
	LostCounted *bool `json:"lost_counted"`
	// Made, Delivered and Counted are those calls.
	Made      int64 `json:"calls_made"`
	Delivered int64 `json:"calls_delivered"`
	Counted   int64 `json:"calls_counted_lost"`
	// MaxRSS is the most memory of the collector, StalledFor the longest time in
	// which the rings were not read while it was allowed to run.
	MaxRSS     int     `json:"max_rss_mib"`
	StalledFor float64 `json:"stalled_seconds"`
	Error      string  `json:"error,omitempty"`
}

// OK reports whether a result is as good as it has to be.
func (r *Result) OK() bool {
	return r.Error == "" && r.Survived && r.VictimFound && (r.LostCounted == nil || *r.LostCounted) && r.MaxRSS <= maxRSS && r.StalledFor <= maxStall.Seconds()
}

const (
	// maxRSS is in MiB.
	maxRSS = 512
	// foundWithin and maxStall are what the project promises.
	foundWithin, maxStall = 20 * time.Second, 2 * time.Second
	// stopWithin is for how long the collector may take to end.
	stopWithin = 20 * time.Second
)

// Options say which collector to run, and for how long it learns.
type Options struct {
	Root, Binary, Config, Record, Out string
	Learn                             time.Duration
	// FoundWithin is for how long the victim's fault is waited for; zero is
	// foundWithin.
	FoundWithin time.Duration
	// Ready is called when all is learned, before the fault begins; may be nil.
	Ready func() error
}

// scene is what one fault happens in.
type scene struct {
	o   Options
	dir string // of this fault's files
	bin string // of the programs
	// records is the file of the raw records.
	records string
	agent   *agent.Agent
	// gateway is what the agent exports to, nil mostly.
	gateway *agent.Agent
	// follow reads the anomalies of the present collector: another one begins a file
	// of its own.
	follow func()

	mu        sync.Mutex
	anomalies []agent.Anomaly
	stalled   float64
	rss       int
	quiet     bool // the collector is not meant to run now
	processes []*proc.Process
	env       []string
}

// start starts a program of a service; empty is of none.
func (s *scene) start(service, program string, args ...string) (*proc.Process, error) {
	o := proc.Options{Path: program, Args: args, Dir: s.dir, Output: filepath.Join(s.dir, filepath.Base(program)+".log")}
	if !strings.Contains(program, "/") {
		o.Path = filepath.Join(s.bin, program)
	}
	if service != "" {
		o.Env = []string{"OTEL_SERVICE_NAME=" + service}
	}
	p, err := proc.Start(o)
	if err == nil {
		s.processes = append(s.processes, p)
	}
	return p, err
}

func (s *scene) startAgent(ctx context.Context) error {
	a, err := agent.Start(ctx, agent.Config{
		Binary: s.o.Binary, File: s.o.Config, Overlays: []string{s.o.Record}, Out: s.dir,
		Env: append([]string{"PERFSCOPE_MODE=continuous", "PERFSCOPE_RECORD_FILE=" + s.records}, s.env...),
	})
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.agent = a
	s.mu.Unlock()
	return nil
}

// note keeps an anomaly.
func (s *scene) note(a agent.Anomaly) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.anomalies = append(s.anomalies, a)
}

// watch follows the collector's own metrics and memory until ctx ends.
func (s *scene) watch(ctx context.Context) {
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		s.mu.Lock()
		a, quiet := s.agent, s.quiet
		s.mu.Unlock()
		asked, cancel := context.WithTimeout(ctx, 10*time.Second)
		begun := time.Now()
		metrics, err := a.Metrics(asked)
		cancel()
		age := agent.Total(metrics, "receiver_syscall_read_age")
		if err != nil && ctx.Err() == nil {
			age = time.Since(begun).Seconds()
		}
		rss := peak(a.PID())
		s.mu.Lock()
		if !quiet && !s.quiet {
			s.stalled = max(s.stalled, age)
		}
		s.rss = max(s.rss, rss)
		s.mu.Unlock()
	}
}

// peak is the most memory a process has had, in MiB.
func peak(pid int) int {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			n, _ := strconv.Atoi(strings.Fields(rest)[0])
			return n >> 10
		}
	}
	return 0
}

// pause sets whether the collector is meant not to run now; for a little after
// that its metrics are still of then.
func (s *scene) pause(on bool) {
	if !on {
		time.Sleep(time.Second)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.quiet = on
}

// found is how long after an instant the victim's function was named.
func (s *scene) found(since time.Time) (time.Duration, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.anomalies {
		if a.Service != "victim" || a.Seen.Before(since) {
			continue
		}
		for _, suspect := range a.Suspects[:min(3, len(a.Suspects))] {
			if suspect.Function == "slow_checksum" {
				return a.Seen.Sub(since), true
			}
		}
	}
	return 0, false
}

// stop ends all programs, and takes their perf maps away.
func (s *scene) stop() error {
	for _, p := range s.processes {
		_ = p.Signal(syscall.SIGCONT)
		_ = p.StopWith(syscall.SIGKILL, time.Second)
		_ = os.Remove(fmt.Sprintf("/tmp/perf-%d.map", p.PID()))
	}
	if s.agent == nil {
		return nil
	}
	return s.stopAgent()
}

// stopAgent ends the collector. One that does not end is made to say in its log
// what each of its goroutines does.
func (s *scene) stopAgent() error {
	_ = s.agent.Signal(syscall.SIGTERM)
	var late error
	select {
	case <-s.agent.Done():
	case <-time.After(stopWithin):
		late = fmt.Errorf("the collector did not end within %s: its log has its goroutines", stopWithin)
		_ = s.agent.Signal(syscall.SIGQUIT)
		select {
		case <-s.agent.Done():
		case <-time.After(5 * time.Second):
		}
	}
	err := s.agent.Stop()
	if late != nil || errors.Is(err, os.ErrProcessDone) {
		return late
	}
	return err
}
