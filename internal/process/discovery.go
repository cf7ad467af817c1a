package process

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/perfscope/perfscope/internal/cleantext"
	"github.com/perfscope/perfscope/internal/rootfs"
)

// Config says what to look for and where.
type Config struct {
	// Root is the proc file system; /proc by default.
	Root string
	// Targets choose processes, the first rule that matches wins. Exclude
	// rules go before all of them.
	Targets, Exclude []Rule
	// Children follows what a target forks, while it runs its program.
	Children bool
	// MaxProcesses bounds the processes followed at one time; 1024 by
	// default. Those found beyond it are counted in Changes.Skipped.
	MaxProcesses int
	// Self is the collector, which is never a target; os.Getpid() by default.
	Self int32
	// Host is the machine; ReadHost() by default.
	Host *Host
	// Pods tells the pods of processes; may be nil.
	Pods Pods
}

const (
	defaultMaxProcesses = 1024
	// youngScans is for how many scans a process is looked at anew each
	// time: right after its start a process execs, moves between control
	// groups and opens its listeners. After that it is looked at in one
	// scan of oldEvery, which keeps a scan of a large host cheap.
	youngScans = 5
	oldEvery   = 8
)

// Discoverer finds the targets. It is not safe for concurrent use.
type Discoverer struct {
	fs       procFS
	targets  []*matcher
	exclude  []*matcher
	children bool
	max      int
	self     int32
	host     Host
	pods     Pods
	boot     string
	bootTime int64

	scans uint64
	seen  map[int32]*entry
	// sockets holds the listeners per network namespace of this scan.
	sockets map[string]listeners
	// networks holds the addresses per network namespace of this scan;
	// hostNetwork is the host's.
	networks    map[string][]netip.Addr
	hostNetwork string
	count       int
	compat      map[string]bool // 32-bit programs reported
	held        holders
	now         func() time.Time
}

// entry is what the last look at a process gave; bounded by maxHostProcesses.
type entry struct {
	ticks   uint64
	parent  int32
	comm    string
	first   uint64 // scan that found it
	looked  uint64 // scan of the last evaluation
	checked uint64 // scan in which it was last seen to be the same process
	found   time.Time
	process *Process
	skipped bool
	// refused is set while the kernel denies what the rules ask for.
	refused bool
}

// Changes is what one look found.
type Changes struct {
	Started, Ended []*Process
	// Skipped counts targets not followed because MaxProcesses was reached.
	Skipped int
	// Refused is one example of a permission missing to judge a process by
	// the rules; nil when everything asked for was readable.
	Refused error
	// Claims counts the claims of an instance id that is another's.
	Claims int
	// Compat are the 32-bit programs that a rule chose, each told once:
	// their system calls have other numbers than this machine's, so they are
	// not followed.
	Compat []string
	// Stuck is why a process could not be looked at in time, the first time
	// this happens to it: it is left alone for a minute, and stays what it
	// was taken for.
	Stuck error
}

// New compiles the rules.
func New(cfg Config) (*Discoverer, error) {
	d := &Discoverer{
		fs: newProcFS(cfg.Root), now: time.Now,
		children: cfg.Children,
		max:      cmp.Or(cfg.MaxProcesses, defaultMaxProcesses),
		self:     cmp.Or(cfg.Self, int32(os.Getpid())), //nolint:gosec // a pid fits 32 bits
		compat:   map[string]bool{},
		seen:     map[int32]*entry{},
		held:     holders{},
		pods:     cfg.Pods,
	}
	if cfg.Host != nil {
		d.host = *cfg.Host
	} else {
		d.host = ReadHost()
	}
	compile := func(key string, rules []Rule) ([]*matcher, error) {
		var out []*matcher
		for i, r := range rules {
			m, err := r.compile()
			if err != nil {
				return nil, fmt.Errorf("%s[%d]: %w", key, i, err)
			}
			out = append(out, m)
		}
		return out, nil
	}
	var err error
	if d.targets, err = compile("targets", cfg.Targets); err != nil {
		return nil, err
	}
	if d.exclude, err = compile("exclude", cfg.Exclude); err != nil {
		return nil, err
	}
	if d.bootTime, err = d.fs.bootTime(); err != nil {
		return nil, err
	}
	d.boot, d.hostNetwork = readBootID(d.fs.door.Root()), d.fs.hostNetwork()
	return d, nil
}

// Stuck counts the reads of processes that hung, see Changes.Stuck.
func (d *Discoverer) Stuck() uint64 { return d.fs.door.Stuck() }

// Unreadable counts the processes that could not be judged by the rules because
// the kernel denies what they ask for, see Changes.Refused.
func (d *Discoverer) Unreadable() (n int) {
	for _, e := range d.seen {
		if e.refused {
			n++
		}
	}
	return n
}

// Host is the machine the processes run on.
func (d *Discoverer) Host() Host { return d.host }

// Processes are the targets followed now, by pid.
func (d *Discoverer) Processes() []*Process {
	out := make([]*Process, 0, d.count)
	for _, e := range d.seen {
		if e.process != nil {
			out = append(out, e.process)
		}
	}
	slices.SortFunc(out, func(a, b *Process) int { return cmp.Compare(a.PID, b.PID) })
	return out
}

// Process is the target with this pid, nil when it is none.
func (d *Discoverer) Process(pid int32) *Process {
	if e := d.seen[pid]; e != nil {
		return e.process
	}
	return nil
}

// Still reports whether the process with this pid is still the one that was
// found. Unlike the other methods it may be called from any goroutine.
func (d *Discoverer) Still(p *Process) bool {
	st, err := d.fs.stat(p.PID)
	return err == nil && st.State != 'Z' && st.State != 'X' && st.Ticks == p.ticks
}

// Scan looks at the whole host: call it every discovery interval.
func (d *Discoverer) Scan() (Changes, error) {
	var ch Changes
	pids, err := d.fs.pids()
	if err != nil {
		return ch, err
	}
	d.scans++
	d.sockets, d.networks = map[string]listeners{}, map[string][]netip.Addr{}
	listed := make(map[int32]bool, len(pids))
	for _, pid := range pids {
		listed[pid] = true
	}
	for pid, e := range d.seen {
		if !listed[pid] {
			d.end(pid, e, &ch)
		}
	}
	// Ascending order meets most parents before their children; the rest
	// is reached from the child (see parentOf).
	slices.Sort(pids)
	for _, pid := range pids {
		d.look(pid, &ch, false)
	}
	return ch, nil
}

// Forked tells of a child that a followed process has just made, so that it
// need not wait for the next Scan.
func (d *Discoverer) Forked(child int32) Changes { return d.relook(child) }

// Execed tells that a process runs another program now: it is judged anew.
func (d *Discoverer) Execed(pid int32) Changes { return d.relook(pid) }

// Exited tells that a process ended at an instant. Whoever has the pid by now is
// another one; a process that was found later is not meant.
func (d *Discoverer) Exited(pid int32, at time.Time) Changes {
	var ch Changes
	if e := d.seen[pid]; e != nil && !e.found.After(at) {
		d.end(pid, e, &ch)
	}
	return ch
}

func (d *Discoverer) relook(pid int32) Changes {
	var ch Changes
	d.sockets, d.networks = map[string]listeners{}, map[string][]netip.Addr{}
	d.look(pid, &ch, true)
	return ch
}

func (d *Discoverer) end(pid int32, e *entry, ch *Changes) {
	delete(d.seen, pid)
	if e.process != nil {
		d.count--
		d.held.release(e.process)
		ch.Ended = append(ch.Ended, e.process)
	}
}

// due reports whether a known process is to be judged again in this scan.
func (d *Discoverer) due(pid int32, e *entry) bool {
	return e.skipped || d.scans-e.first < youngScans || (d.scans+uint64(pid))%oldEvery == 0
}

// look judges one process and keeps the result; force does so even if it is
// not due.
func (d *Discoverer) look(pid int32, ch *Changes, force bool) *entry {
	if pid == d.self || pid <= 0 {
		return nil
	}
	e := d.seen[pid]
	// A target's start is looked at in every scan: its pid may be another's.
	known := e != nil && !force && (e.looked == d.scans || !d.due(pid, e))
	if known && (e.process == nil || e.checked == d.scans) {
		return e
	}
	now := d.now()
	st, err := d.fs.stat(pid)
	if err != nil || st.State == 'Z' || st.State == 'X' {
		if e != nil && (errors.Is(err, os.ErrNotExist) || err == nil) {
			d.end(pid, e, ch)
		}
		return nil
	}
	if e != nil && e.ticks != st.Ticks {
		d.end(pid, e, ch) // the pid was given to another process
		e = nil
	}
	if e != nil {
		if e.checked = d.scans; known {
			return e
		}
	}
	if e == nil {
		if len(d.seen) >= maxHostProcesses {
			return nil
		}
		e = &entry{ticks: st.Ticks, first: d.scans, checked: d.scans, found: now}
		d.seen[pid] = e
	}
	e.parent, e.comm, e.looked, e.skipped = st.Parent, st.Comm, d.scans, false
	if st.Flags&kernelThread != 0 {
		return e
	}
	d.judge(pid, e, st, ch)
	return e
}

// unchanged reports whether a process still runs the program that was looked at.
func (d *Discoverer) unchanged(f *facts) bool {
	st, err := d.fs.stat(f.pid)
	if err != nil || st.State == 'Z' || st.State == 'X' || st.Ticks != f.stat.Ticks {
		return false
	}
	exe, _ := d.fs.executable(f.pid)
	return exe == f.executable()
}

func (d *Discoverer) judge(pid int32, e *entry, st stat, ch *Changes) {
	f := &facts{fs: d.fs, pid: pid, stat: st, sockets: d.listenersOf, found: e.found, pods: d.pods}
	p := d.evaluate(f, e.process, ch)
	if p != nil && !d.unchanged(f) {
		return // what was read of it is of two programs, or of none
	}
	if p != nil && d.refuse(pid, p, ch) {
		p = nil
	}
	if f.stuck != nil {
		if errors.Is(f.stuck, rootfs.ErrStuck) {
			ch.Stuck = f.stuck
		}
		return // nothing can be said of it now
	}
	e.refused = f.refused != nil
	if f.refused != nil && ch.Refused == nil {
		ch.Refused = f.refused
	}
	if p != nil {
		d.settle(p, e.process, ch)
	}
	if old := e.process; old != nil {
		if p != nil && old.same(p) {
			if !slices.Equal(old.Listening, p.Listening) || old.Pod.Name != p.Pod.Name {
				e.process = p // who holds the old one goes on with what it was
			}
			return
		}
		e.process = nil
		d.count--
		d.held.release(old)
		ch.Ended = append(ch.Ended, old)
	}
	if p == nil {
		return
	}
	if d.count >= d.max {
		e.skipped = true
		ch.Skipped++
		return
	}
	e.process = p
	d.count++
	d.held.hold(p)
	ch.Started = append(ch.Started, p)
}

// maxCompat bounds the 32-bit programs told apart.
const maxCompat = 256

// refuse reports whether the process runs a 32-bit program.
func (d *Discoverer) refuse(pid int32, p *Process, ch *Changes) bool {
	// Whose program cannot be read is followed: most are not 32-bit.
	compat, _ := d.fs.compat(pid)
	if compat && !d.compat[p.Executable] && len(d.compat) < maxCompat {
		d.compat[p.Executable] = true
		ch.Compat = append(ch.Compat, p.Executable)
	}
	return compat
}

// same reports whether nothing that a reader keys by has changed.
func (p *Process) same(q *Process) bool {
	return p.ticks == q.ticks && p.Executable == q.Executable && p.ServiceName == q.ServiceName &&
		p.InstanceID == q.InstanceID && p.ContainerID == q.ContainerID
}

// evaluate applies the rules, then, for a child of a target, its parent's.
// old is what the process was taken for before, if anything.
func (d *Discoverer) evaluate(f *facts, old *Process, ch *Changes) *Process {
	for _, m := range d.exclude {
		if m.matches(f) {
			return nil
		}
	}
	var parent *Process
	if d.children && f.stat.Parent > 1 {
		if e := d.look(f.stat.Parent, ch, false); e != nil {
			parent = e.process
		}
	}
	for i, m := range d.targets {
		if !m.matches(f) {
			continue
		}
		p := d.describe(f, i, m.rule.ServiceName)
		switch {
		case parent != nil && parent.ServiceName == p.ServiceName && parent.ServiceNamespace == p.ServiceNamespace:
			// Whatever it runs: a master starts a program for each session.
			p.adopt(parent)
		case old != nil && old.Rule == i && old.ticks == p.ticks && old.Executable == p.Executable && old.ServiceName == p.ServiceName:
			// Its parent has ended since: it stays the instance it was.
			p.adopt(old)
		}
		return p
	}
	// A child that no rule names belongs to its parent while it runs the
	// same program: after an exec only the rules count.
	family := parent
	if family == nil {
		if d.children && old != nil && old.Root != old.PID {
			family = old
		}
	}
	if exe := cleantext.Clean(f.executable(), cleantext.MaxPath); family == nil || exe == "" || exe != family.Executable {
		return nil
	}
	p := d.describe(f, family.Rule, family.ServiceName)
	p.adopt(family)
	return p
}

// adopt makes p part of the service instance q belongs to.
func (p *Process) adopt(q *Process) {
	p.Root, p.ServiceName, p.ServiceNamespace, p.InstanceID = q.Root, q.ServiceName, q.ServiceNamespace, q.InstanceID
	p.rootTicks, p.claimed = q.rootTicks, q.claimed
}

func (d *Discoverer) describe(f *facts, rule int, override string) *Process {
	cg, env, exe := f.cgroup(), f.environment(), f.executable()
	name := cleantext.Clean(baseName(cmp.Or(f.invoked(), exe)), cleantext.MaxName)
	if name == "" {
		name = cleantext.Clean(f.stat.Comm, cleantext.MaxName)
	}
	// Seconds since boot plus the boot's second: whole ticks, no drift.
	created := time.Unix(d.bootTime, 0).Add(time.Duration(f.stat.Ticks) * (time.Second / ticksPerSecond)) //nolint:gosec // ticks since boot
	p := &Process{
		PID: f.pid, Parent: f.stat.Parent, Root: f.pid, Created: created.UTC(),
		ServiceName:      cmp.Or(override, env.ServiceName, name),
		ServiceNamespace: env.Namespace,
		InstanceID:       env.Instance,
		Executable:       cleantext.Clean(exe, cleantext.MaxPath), ExecutableName: name,
		Cgroup: cg.Line, ContainerID: cg.ContainerID, PodUID: cg.PodUID,
		Pod:       f.pod(),
		Listening: d.reachable(f.pid, f.listening()), Rule: rule, Found: f.found,
		ticks: f.stat.Ticks, rootTicks: f.stat.Ticks, claimed: env.Instance != "",
	}
	if !p.claimed {
		p.InstanceID = d.ownID(p)
	}
	return p
}

// listenersOf reads the socket table of a process's network namespace once
// per scan.
func (d *Discoverer) listenersOf(pid int32) listeners {
	ns, err := d.fs.netNamespace(pid)
	if err != nil {
		return nil
	}
	if l, ok := d.sockets[ns]; ok {
		return l
	}
	// A partial table is still a table: what is missing is found next time.
	l, _ := d.fs.listening(pid)
	d.sockets[ns] = l
	return l
}
