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
	"github.com/perfscope/perfscope/internal/process"
	"github.com/perfscope/perfscope/receiver/syscallreceiver/internal/metadata"
)

// parts are what tests replace.
type parts struct {
	tracer   func(*Config, *gatherer, *zap.Logger) (tracer, error)
	unwinder func() unwinder
	// proc is the proc file system, /proc when empty.
	proc string
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
	gatherer  *gatherer
	scout     *scout
	perfMaps  *perfMaps // nil when JVMs are asked for nothing
	tracer    tracer
	queue     *queue
	telemetry *metadata.TelemetryBuilder
	logger    *zap.Logger
	host      component.Host
	// pacer is nil when calls are recorded always or never.
	pacer    *pacer
	degraded error

	stop context.CancelFunc // ends the loop and the scout
	// scouted, looped and paced are closed when they have ended.
	scouted, looped, paced chan struct{}
	settle                 sync.Mutex
	poked                  chan struct{}

	statusMu sync.Mutex
	status   string
	troubled time.Time
}

// Start loads and attaches the eBPF programs and begins to look for targets.
// Its error says what the host lacks.
func (r *syscallReceiver) Start(ctx context.Context, host component.Host) error {
	if r.run != nil {
		return errors.New("the syscall receiver has been started already")
	}
	finder, err := process.New(process.Config{
		Root: r.parts.proc, Host: r.parts.host, Targets: rules(r.cfg.Targets), Exclude: rules(r.cfg.Exclude),
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
	n := &run{logger: r.set.Logger, host: host, telemetry: telemetry, poked: make(chan struct{}, 1)}
	n.scout = &scout{
		finder: finder, interval: r.cfg.DiscoveryInterval, stats: counted, logger: r.set.Logger, now: now,
		notices: make(chan notice, maxNotices), found: n.found, answer: n.answer, trouble: n.trouble,
	}
	n.gatherer = &gatherer{
		cfg: r.cfg, logger: r.set.Logger, unwind: r.parts.unwinder(), host: finder.Host(), arch: runtime.GOARCH, stats: counted,
		tell: n.scout.tell, ready: n.poke, now: now, last: now(), names: process.NewThreadNames(r.parts.proc),
		targets: map[int32]*target{}, dedup: newStackIndex(), buffers: buffers{most: r.cfg.maxPending()},
	}
	if interval := r.cfg.JVM.PerfMapInterval; interval > 0 {
		n.perfMaps = &perfMaps{
			interval: interval, logger: r.set.Logger, runtime: n.gatherer.unwind.Runtime, told: map[int32]time.Time{},
			write: func(ctx context.Context, pid int32) error {
				return jvm.WritePerfMap(ctx, cmp.Or(r.parts.proc, "/proc"), pid)
			},
		}
	}
	if hz := r.cfg.Watch.SampleFrequency; hz > 0 {
		n.gatherer.samplePeriod = time.Second / time.Duration(hz)
	}
	if n.tracer, err = r.parts.tracer(r.cfg, n.gatherer, r.set.Logger); err != nil {
		telemetry.Shutdown()
		return fmt.Errorf("the syscall receiver cannot record on this host: %w", err)
	}
	n.gatherer.tracer = n.tracer
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
	if err := counted.register(n.queue.length); err != nil {
		telemetry.Shutdown()
		return errors.Join(err, n.tracer.Close())
	}
	n.queue.start()
	if err := n.tracer.Start(ctx); err != nil {
		n.queue.close(ctx)
		telemetry.Shutdown()
		return errors.Join(fmt.Errorf("the syscall receiver cannot record on this host: %w", err), n.tracer.Close())
	}
	if denied := n.tracer.Degraded(); len(denied) > 0 {
		n.degraded = errors.New("a part of the capture is denied: " + strings.Join(denied, "; "))
	}
	n.start(r.cfg.FlushInterval)
	r.run = n
	return nil
}

// Shutdown detaches everything and delivers what is held, as long as the
// context allows. Its error says what did not end in time; that goes on to end
// in the background.
func (r *syscallReceiver) Shutdown(ctx context.Context) error {
	n := r.run
	if n == nil {
		return nil
	}
	r.run = nil
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
		hung = append(hung, "a flush (the reading of symbols)")
	}
	if !n.queue.close(ctx) {
		hung = append(hung, "the next component, which does not heed the end of its context")
	}
	n.telemetry.Shutdown()
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

func (n *run) answer(pid int32, p *process.Process) {
	n.gatherer.answer(pid, p)
	n.decide()
}

// decide has the tracer told of what was decided, in order.
func (n *run) decide() {
	n.settle.Lock()
	defer n.settle.Unlock()
	n.gatherer.settle()
}

// refused counts the events the next component did not take.
func (n *run) refused(d delivery, err error) {
	n.logger.Debug("The next component refused a flush.", zap.Error(err))
	n.gatherer.stats.refused(d.events)
}

// troubleLasts is for how long discovery must fare well to be well.
const troubleLasts = time.Minute

// trouble reports how the discovery fares, together with what the kernel
// denies, when that changes.
func (n *run) trouble(err error) {
	if err != nil {
		err = fmt.Errorf("not every process can be judged by the rules: %w; grant CAP_SYS_PTRACE (executable, sockets) and CAP_DAC_READ_SEARCH (environment), or run as root", err)
	}
	err = errors.Join(n.degraded, err)
	text := "ok"
	if err != nil {
		// The example changes from scan to scan: report a kind once.
		text = strings.SplitN(err.Error(), "/proc/", 2)[0]
	}
	n.statusMu.Lock()
	defer n.statusMu.Unlock()
	if err != nil {
		n.troubled = time.Now()
	}
	// A process that cannot be read is judged again only now and then: one
	// scan without trouble does not mean it is over.
	if text == n.status || err == nil && time.Since(n.troubled) < troubleLasts {
		return
	}
	n.status = text
	if err == nil {
		componentstatus.ReportStatus(n.host, componentstatus.NewEvent(componentstatus.StatusOK))
		return
	}
	n.logger.Warn("Recording goes on with less.", zap.Error(err))
	componentstatus.ReportStatus(n.host, componentstatus.NewRecoverableErrorEvent(err))
}
