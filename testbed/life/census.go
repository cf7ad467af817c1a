package life

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/perfscope/perfscope/testbed/agent"
	"github.com/perfscope/perfscope/testbed/proc"
)

// usage is the CPU time that a process and its children have used so far.
type usage struct {
	root        int
	last, total time.Duration
}

// add takes the present figure of the tree of root in.
func (u *usage) add(root int, now time.Duration) {
	switch {
	case u.root == 0: // what it used before is of no interest
	case u.root != root:
		u.total += now
	default:
		u.total += max(0, now-u.last)
	}
	u.root, u.last = root, now
}

// usages are those of what is no instance.
type usages struct {
	collector usage
	// own is that of the loads, before what this process had used before.
	own, before time.Duration
}

// census looks at every process once: whose they are, what they use, and who
// has ended.
func (r *run) census(living context.Context) error {
	table, err := proc.ReadTable()
	if err != nil {
		return err
	}
	r.used.collector.add(r.collector.PID(), table[r.collector.PID()].CPU)
	r.used.own = ownCPU() - r.used.before
	children := table.Children()
	for _, in := range r.instances {
		if in.changing.TryLock() {
			r.look(living, in, table, children)
			in.changing.Unlock()
		}
	}
	return nil
}

// ownCPU is what this process used, the loads, without what it started.
func ownCPU() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// look sees what became of one instance, whose lock is held.
func (r *run) look(living context.Context, in *instance, table proc.Table, children proc.Children) {
	if left, _ := in.state(); left {
		return
	}
	s := in.work.Server
	select {
	case <-s.Done():
	default:
		pids := children.Of(s.PID())
		in.note(pids)
		in.cpu.add(s.PID(), table.CPU(pids))
		return
	}
	in.down(time.Now())
	in.deaths++
	why := fmt.Errorf("it ended by itself: %w", errors.Join(s.Err(), errors.New("see its log"), logTail(s.Options().Output)))
	r.say("DIED  %s: %v", in.Name, why)
	r.journal.at(Entry{Kind: Died, Instance: in.Name, Service: in.Scenario.Server}, why)
	if in.deaths > maxDeaths {
		in.leave()
		in.load.SetRate(0)
		r.missing = append(r.missing, fmt.Sprintf("%s: ended by itself %d times", in.Name, in.deaths))
		r.say("LEFT OUT  %s from now on", in.Name)
		return
	}
	r.repair.Go(func() {
		ctx, cancel := context.WithTimeout(living, grace)
		defer cancel()
		if err := in.restart(ctx, nil); err != nil {
			r.say("%s could not be started again: %v", in.Name, err)
		}
	})
}

// logTail is the end of a log, as an error to be joined.
func logTail(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return errors.New(string(data[max(0, len(data)-400):]))
}

// tell says how it goes, and looks at the loads.
func (r *run) tell() {
	up, lacking := 0, 0
	for _, in := range r.instances {
		left, runs := in.state()
		if left {
			continue
		}
		if runs {
			up++
		}
		now := time.Now()
		disturbed := in.disturbed.Load() > now.Add(-tellEvery).UnixNano()
		if err := in.take(disturbed); err != nil {
			lacking++
			r.say("LOAD FAILS  %s: %v", in.Name, err)
			r.journal.at(Entry{Kind: Unhealthy, Instance: in.Name, Service: in.Scenario.Server}, err)
		}
	}
	all, now := r.journal.count()
	seconds := time.Since(r.started).Seconds()
	var servers time.Duration
	for _, in := range r.instances {
		servers += in.cpu.total
	}
	r.say("%d of %d up, %d loads fail; %d happenings, %d now; %d alarms; %.1f MB; cores: servers %.2f, loads %.2f, collector %.2f",
		up, len(r.instances), lacking, all, now, len(r.alarms), float64(recorded(r.out))/1e6,
		servers.Seconds()/seconds, r.used.own.Seconds()/seconds, r.used.collector.total.Seconds()/seconds)
}

// note keeps a warning and says what was going on.
func (r *run) note(a agent.Anomaly) {
	if !a.Warn {
		return
	}
	in := r.whose(a)
	if in == nil {
		r.unknown = append(r.unknown, a)
		return
	}
	alarm := r.alarm(in, a)
	r.alarms = append(r.alarms, alarm)
	r.say("ALARM %d  %s (score %.2f): %s%s", len(r.alarms), in.Name, a.Score, a.Sentence, alarm.context())
}

// settle finds whose those warnings are that name neither a process nor a
// socket: the recording knows. The rest are about other servers of the machine.
func (r *run) settle(l *Labels) {
	for _, a := range r.unknown {
		i := slices.IndexFunc(l.Instances, func(in InstanceLabel) bool { return slices.Contains(in.IDs, a.Instance) })
		if i < 0 {
			r.others++
			continue
		}
		r.alarms = append(r.alarms, r.alarm(r.instances[i], a))
	}
	slices.SortStableFunc(r.alarms, func(a, b Alarm) int { return a.Time.Compare(b.Time) })
}

func (r *run) alarm(in *instance, a agent.Anomaly) Alarm {
	alarm := Alarm{
		Time: a.Seen, Seconds: a.Seen.Sub(r.started).Seconds(), ID: a.ID, Service: a.Service, Instance: in.Name,
		Score: a.Score, Sentence: a.Sentence, Around: r.journal.around(in, a.Seen), Suspects: []string{},
	}
	for _, s := range a.Suspects[:min(3, len(a.Suspects))] {
		alarm.Suspects = append(alarm.Suspects, s.Function)
	}
	return alarm
}

// whose finds the instance that an anomaly is about, nil when it is none.
func (r *run) whose(a agent.Anomaly) *instance {
	for _, in := range r.instances {
		if a.PID != 0 && in.knows(a.PID) || slices.Contains(a.Listening, in.work.Server.Addr) {
			return in
		}
	}
	return nil
}
