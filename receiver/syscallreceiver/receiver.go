package syscallreceiver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/receiverhelper"
	"go.uber.org/zap"

	"github.com/perfscope/perfscope/internal/budget"
	"github.com/perfscope/perfscope/internal/jvm"
	"github.com/perfscope/perfscope/internal/machine"
	"github.com/perfscope/perfscope/internal/pods"
	"github.com/perfscope/perfscope/internal/process"
	"github.com/perfscope/perfscope/internal/rootfs"
	"github.com/perfscope/perfscope/internal/stack"
	"github.com/perfscope/perfscope/receiver/syscallreceiver/internal/metadata"
)

// parts are what tests replace.
type parts struct {
	tracer   func(*Config, *gatherer, *zap.Logger) (tracer, error)
	unwinder func(func(stack.Quarantine)) unwinder
	// interpreters may be nil.
	interpreters func(unwinder) interpreters
	// proc is the proc file system, /proc when empty.
	proc string
	// surroundings are those of the real machine when nil, none with another proc.
	surroundings *surroundings
	// host is the machine, the real one when nil.
	host *process.Host
}

// syscallReceiver is the component: it owns the goroutines of one run.
type syscallReceiver struct {
	set   receiver.Settings
	cfg   *Config
	next  consumer.Logs
	parts parts

	// run is what Start made; nil when not running.
	run *run
}

func newReceiver(set receiver.Settings, cfg *Config, next consumer.Logs, p parts) (*syscallReceiver, error) {
	return &syscallReceiver{set: set, cfg: cfg, next: next, parts: p}, nil
}

// run is one time between Start and Shutdown.
type run struct {
	gatherer   *gatherer
	scout      *scout
	alone      *alone
	symbols    *symbols
	perfMaps   *perfMaps    // nil when JVMs are asked for nothing
	goroutines *goroutines  // nil when they are not looked at
	keeper     *pods.Keeper // nil when nothing is known of pods
	tracer     tracer
	queue      *queue
	telemetry  *metadata.TelemetryBuilder
	logger     *zap.Logger
	host       component.Host
	// unshow ends that a page shows this.
	unshow func()
	// pacer is nil when calls are recorded always (continuous) or never; hooked
	// is set while they are, guarded by settle.
	pacer              *pacer
	continuous, hooked bool
	degraded           error
	memory             *memoryLimit

	stop context.CancelFunc // ends the loop and the scout
	// scouted, looped and paced are closed when they have ended.
	scouted, looped, paced chan struct{}
	settle                 sync.Mutex
	poked                  chan struct{}

	statusMu sync.Mutex
	// status is what was reported last, warned the text in the log.
	status, warned string
	troubled       time.Time
	// unread and silent are how the last scan fared.
	unread, silent error
}

// Start loads and attaches the eBPF programs and begins to look for targets.
// Its error says what the host lacks.
func (r *syscallReceiver) Start(ctx context.Context, collector component.Host) error {
	if r.run != nil {
		return errors.New("the syscall receiver has been started already")
	}
	keeper, err := newKeeper(r.cfg.Kubernetes, r.set.Logger)
	if err != nil {
		return fmt.Errorf("the syscall receiver cannot tell pods: %w", err)
	}
	host := r.parts.host
	if host == nil {
		found := process.FindHost(process.HostOptions{Name: r.cfg.Host.Name, ID: r.cfg.Host.ID, Root: r.cfg.Host.Root})
		host = &found
	}
	var pod process.Pods
	if keeper != nil {
		pod = keeper.Pod
	}
	finder, err := process.New(process.Config{
		Root: r.parts.proc, Host: host, Pods: pod, Targets: rules(r.cfg.Targets), Exclude: rules(r.cfg.Exclude),
		Children: r.cfg.IncludeChildren, MaxProcesses: r.cfg.Limits.Processes,
	})
	if err != nil {
		return fmt.Errorf("the syscall receiver cannot look for its targets: %w", err)
	}
	telemetry, err := metadata.NewTelemetryBuilder(r.set.TelemetrySettings)
	if err != nil {
		return err
	}
	report, err := receiverhelper.NewObsReport(receiverhelper.ObsReportSettings{
		ReceiverID: r.set.ID, Transport: "ebpf", LongLivedCtx: true, ReceiverCreateSettings: r.set,
	})
	if err != nil {
		return err
	}
	now := func() int64 { return time.Now().UnixNano() }
	counted := newStats(telemetry)
	n := &run{logger: r.set.Logger, host: collector, keeper: keeper, continuous: r.cfg.Mode == ModeContinuous, telemetry: telemetry, poked: make(chan struct{}, 1)}
	n.scout = &scout{
		finder: finder, interval: r.cfg.DiscoveryInterval, stats: counted, logger: r.set.Logger, now: now,
		busy: threadCPUTime, notices: make(chan notice, maxNotices), found: n.found, answer: n.answer, trouble: n.trouble,
	}
	n.alone = newAlone(counted)
	unwind := r.parts.unwinder(n.alone.put)
	var interpret interpreters
	if r.cfg.Stacks.Interpreters && r.parts.interpreters != nil {
		interpret = r.parts.interpreters(unwind)
	}
	n.symbols = newSymbols(unwind, interpret, counted, r.set.Logger)
	n.scout.silence = newSilence(rules(r.cfg.Targets), finder.Nearest, r.set.Logger, time.Unix(0, now()))
	n.scout.news = &news{logger: r.set.Logger, self: r.set.ID, rules: rules(r.cfg.Targets), services: map[string]*instances{}}
	n.gatherer = &gatherer{
		cfg: r.cfg, logger: r.set.Logger, symbols: n.symbols, still: finder.Still, host: finder.Host(), arch: runtime.GOARCH, stats: counted,
		tell: n.scout.tell, ready: n.poke, now: now, last: now(), names: process.NewThreadNames(r.parts.proc),
		targets: map[int32]*target{}, dedup: newStackIndex(), buffers: buffers{most: r.cfg.maxPending()},
	}
	if interval := r.cfg.JVM.PerfMapInterval; interval > 0 {
		door := &rootfs.Door{Proc: r.parts.proc}
		n.perfMaps = &perfMaps{
			interval: interval, logger: r.set.Logger, runtime: n.symbols.runtime, told: map[int32]time.Time{},
			write: func(ctx context.Context, pid int32) error {
				return jvm.WritePerfMap(ctx, door, pid)
			},
		}
	}
	if r.cfg.Watch.GoroutineInterval > 0 {
		n.goroutines = newGoroutines(r.cfg, n.gatherer, &rootfs.Door{Proc: r.parts.proc}, r.set.Logger)
	}
	if n.tracer, err = r.parts.tracer(r.cfg, n.gatherer, r.set.Logger); err != nil {
		telemetry.Shutdown()
		return fmt.Errorf("the syscall receiver cannot record on this host: %w", err)
	}
	n.gatherer.tracer, n.symbols.atOnce = n.tracer, n.tracer.DeliverAtOnce
	if n.gatherer.surroundings = r.parts.surroundings; n.gatherer.surroundings == nil && r.parts.proc == "" {
		reader := machine.New("")
		reader.See(n.tracer.Sockets)
		n.gatherer.surroundings = &surroundings{reader: reader}
		if missing := reader.Missing(); len(missing) > 0 {
			r.set.Logger.Info("The machine is seen in part.", zap.Strings("missing", missing))
		}
	}
	if r.cfg.Mode == ModeBurst {
		keep, err := budget.New(r.cfg.OverheadBudget, runtime.NumCPU())
		if err != nil {
			telemetry.Shutdown()
			return errors.Join(err, n.tracer.Close())
		}
		n.pacer = newPacer(r.cfg, n.tracer, keep, counted, r.set.Logger)
		n.gatherer.suspicion = newSuspicion(n.pacer.suspect)
	}
	n.queue = newQueue(r.cfg.Limits.QueuedFlushes, r.next, report, n.refused)
	n.gatherer.emit = n.queue.offer
	if err := counted.register(n.queue.length, n.tracer.LastRead); err != nil {
		telemetry.Shutdown()
		return errors.Join(err, n.tracer.Close())
	}
	n.queue.start()
	n.symbols.start()
	if err := n.tracer.Start(ctx); err != nil {
		n.symbols.stop()
		n.queue.close(ctx)
		telemetry.Shutdown()
		return errors.Join(fmt.Errorf("the syscall receiver cannot record on this host: %w", err), n.tracer.Close())
	}
	if denied := append(n.tracer.Degraded(), rootfs.Denied()...); len(denied) > 0 {
		n.degraded = errors.New("a part of the capture is denied: " + strings.Join(denied, "; "))
	}
	if r.cfg.DropPrivileges && r.parts.proc == "" {
		if err := dropPrivileges(); err != nil {
			r.set.Logger.Warn("The collector keeps more privileges than it needs.", zap.Error(err))
		}
	}
	n.memory = limitMemory(r.set.Logger)
	w := newWatch(r.cfg, counted, n.degraded)
	n.scout.chosen = w.count
	n.unshow = w.show(collector)
	n.start(r.cfg.FlushInterval)
	r.run = n
	return nil
}

// shutdownPatience bounds a shutdown: the Collector gives it no deadline, and
// systemd kills after 90 s.
const shutdownPatience = 10 * time.Second

// Shutdown detaches everything and delivers what is held, as long as the
// context and shutdownPatience allow. Its error says what did not end in time;
// that goes on to end in the background.
func (r *syscallReceiver) Shutdown(ctx context.Context) error {
	n := r.run
	if n == nil {
		return nil
	}
	r.run = nil
	n.unshow()
	ctx, cancel := context.WithTimeout(ctx, shutdownPatience)
	defer cancel()
	n.stop()
	n.queue.patience(ctx)
	var hung []string
	if !await(ctx, n.scouted) {
		hung = append(hung, "the discovery of processes (a read below /proc)")
	}
	if !await(ctx, n.paced) {
		hung = append(hung, "the attaching or detaching of the hooks")
	}
	// Once for what the kernel counted, once for what was left in its rings.
	flush := func() {
		<-n.looped
		n.gatherer.close()
		n.gatherer.flush()
	}
	flushed := within(ctx, flush)
	var errs []error
	var failed error
	switch {
	case !within(ctx, func() { failed = n.tracer.Close() }):
		hung = append(hung, "the detaching of the eBPF programs")
	case failed != nil:
		errs = append(errs, fmt.Errorf("the syscall receiver could not detach cleanly (the kernel does when the collector ends): %w", failed))
		fallthrough
	default:
		flushed = flushed && within(ctx, flush)
	}
	if !flushed {
		hung = append(hung, "a flush")
	}
	n.symbols.stop()
	if !within(ctx, n.symbols.wait) {
		hung = append(hung, "the reading of symbols")
	}
	if !n.queue.close(ctx) {
		hung = append(hung, "the next component, which does not heed the end of its context")
	}
	n.telemetry.Shutdown()
	n.memory.close()
	if len(hung) > 0 {
		errs = append(errs, fmt.Errorf("the syscall receiver was shut down, but had to leave behind: %s", strings.Join(hung, "; ")))
	}
	return errors.Join(errs...)
}

func (n *run) start(flushInterval time.Duration) {
	ctx, cancel := context.WithCancel(context.Background())
	n.stop, n.scouted, n.looped, n.paced = cancel, make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(n.scouted)
		var asking sync.WaitGroup
		if n.perfMaps != nil {
			asking.Go(func() { n.perfMaps.run(ctx) })
		}
		if n.keeper != nil {
			asking.Go(func() { n.keeper.Run(ctx) })
		}
		if n.goroutines != nil {
			asking.Go(func() { n.goroutines.run(ctx) })
		}
		n.scout.run(ctx)
		asking.Wait()
	}()
	go func() {
		defer close(n.paced)
		if n.pacer != nil {
			n.pacer.run(ctx)
		}
	}()
	go func() {
		defer close(n.looped)
		ticker := time.NewTicker(flushInterval)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				n.gatherer.flush()
				n.decide()
				n.memory.follow(heapInUse())
				if n.alone.tell(n.logger, time.Now()) {
					n.report()
				}
			case <-n.poked:
				n.gatherer.ship()
			}
		}
	}()
}

// poke has the loop ship what was posted early.
func (n *run) poke() {
	select {
	case n.poked <- struct{}{}:
	default: // it has been told already
	}
}

func (n *run) found(start int64, all []*process.Process) {
	if n.perfMaps != nil {
		n.perfMaps.follow(all)
	}
	n.gatherer.reconcile(start, all)
	n.decide()
}

func (n *run) answer(pid int32, looked int64, p *process.Process) {
	n.gatherer.answer(pid, looked, p)
	n.decide()
}

// decide tells the tracer what was decided, in order.
func (n *run) decide() {
	n.settle.Lock()
	defer n.settle.Unlock()
	n.gatherer.settle()
	n.attend(n.gatherer.following() > 0)
}

// attend has no hook on system calls attached while there is no target: it taxes
// every process of the host.
func (n *run) attend(targets bool) {
	switch {
	case n.pacer != nil:
		n.pacer.attend(targets)
	case n.continuous && targets != n.hooked:
		if err := n.tracer.Trace(targets); err != nil {
			n.logger.Warn("Cannot switch the recording of calls; it is tried again.", zap.Bool("on", targets), zap.Error(err))
			return
		}
		n.hooked = targets
	}
}

// refused counts the events the next component did not take.
func (n *run) refused(d delivery, err error) {
	n.logger.Debug("The next component refused a flush.", zap.Error(err))
	n.gatherer.stats.refused(d.events)
}

// troubleLasts is for how long discovery must fare well to be well.
const troubleLasts = time.Minute

// trouble takes how the discovery fares.
func (n *run) trouble(unread, silent error) {
	n.statusMu.Lock()
	n.unread, n.silent = unread, silent
	n.statusMu.Unlock()
	n.report()
}

// report reports how the discovery fares, together with what the kernel denies
// and what is left alone, when that changes.
func (n *run) report() {
	n.statusMu.Lock()
	defer n.statusMu.Unlock()
	alone := n.alone.trouble(time.Now())
	err := errors.Join(n.degraded, n.unread, alone, n.silent)
	kind := cmp.Or(kinds(n.degraded, n.unread, alone, n.silent), "ok")
	if err != nil {
		n.troubled = time.Now()
	}
	// A process that cannot be read is judged again only now and then: one
	// scan without trouble does not mean it is over. That there is a target does.
	if kind == n.status || n.status != "silent" && err == nil && time.Since(n.troubled) < troubleLasts {
		return
	}
	n.status = kind
	if err == nil {
		componentstatus.ReportStatus(n.host, componentstatus.NewEvent(componentstatus.StatusOK))
		return
	}
	// That nothing is chosen has a line of its own.
	if less := errors.Join(n.degraded, n.unread, alone); less != nil && less.Error() != n.warned {
		n.warned = less.Error()
		n.logger.Warn("Recording goes on with less.", zap.Error(less))
	}
	componentstatus.ReportStatus(n.host, componentstatus.NewRecoverableErrorEvent(err))
}
