package syscallreceiver

import (
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/component"

	"github.com/perfscope/perfscope/internal/process"
)

// Mode is what is recorded.
type Mode string

const (
	// ModeBurst watches the targets, and records their calls in bursts: as much
	// of the time as the overhead budget allows, and as focus asks for.
	ModeBurst Mode = "burst"
	// ModeContinuous records every call of the targets, and watches them.
	ModeContinuous Mode = "continuous"
	// ModeWatch samples the targets and looks at their waits, with no hook
	// on system calls.
	ModeWatch Mode = "watch"
)

// Format is the form of the log records.
type Format string

const (
	// FormatPacked is one record per thread and flush.
	FormatPacked Format = "packed"
	// FormatEvent is one record per event.
	FormatEvent Format = "event"
)

// TraceContext is where the trace contexts of requests are taken from.
type TraceContext string

const (
	// TraceContextNone takes none.
	TraceContextNone TraceContext = "none"
	// TraceContextPayload has the kernel look at the first bytes that a target
	// receives from a socket, for the traceparent header of an HTTP/1 request.
	TraceContextPayload TraceContext = "payload"
)

// Config is the receiver's configuration; README.md explains each option.
type Config struct {
	// Mode is continuous, burst or watch.
	Mode Mode `mapstructure:"mode"`
	// Format is packed or event.
	Format Format `mapstructure:"format"`
	// FlushInterval is the time between two deliveries.
	FlushInterval time.Duration `mapstructure:"flush_interval"`
	// DiscoveryInterval is the time between two looks at the host's processes.
	DiscoveryInterval time.Duration `mapstructure:"discovery_interval"`
	// InFlightAfter is the age at which a call that has not returned is reported.
	InFlightAfter time.Duration `mapstructure:"in_flight_after"`
	// IncludeChildren follows what a target forks.
	IncludeChildren bool `mapstructure:"include_children"`
	// OverheadBudget is the share of the host's CPU time that mode burst keeps
	// the cost below.
	OverheadBudget float64 `mapstructure:"overhead_budget"`
	// Focus sets what mode burst does when a service leaves its habits.
	Focus FocusConfig `mapstructure:"focus"`
	// Targets choose the processes; the first that matches wins.
	Targets []TargetConfig `mapstructure:"targets"`
	// Exclude rules go before all targets.
	Exclude []TargetConfig `mapstructure:"exclude"`
	// Watch sets the sampler and the snapshots of waits.
	Watch WatchConfig `mapstructure:"watch"`
	// TraceContext is none or payload.
	TraceContext TraceContext `mapstructure:"trace_context"`
	// Stacks sets how often and how deep user stacks are copied.
	Stacks StacksConfig `mapstructure:"stacks"`
	// JVM sets what is asked of Java virtual machines.
	JVM JVMConfig `mapstructure:"jvm"`
	// Ring sets the memory shared with the kernel.
	Ring RingConfig `mapstructure:"ring"`
	// Limits bound what the receiver holds.
	Limits LimitsConfig `mapstructure:"limits"`
	// DropPrivileges gives up, once everything is loaded, the capabilities of the
	// whole collector that the receiver does not need.
	DropPrivileges bool `mapstructure:"drop_privileges"`
	// Host says who the host is, where that cannot be read.
	Host HostConfig `mapstructure:"host"`
	// Kubernetes says where the names of pods come from.
	Kubernetes KubernetesConfig `mapstructure:"kubernetes"`
}

// HostConfig says who the host is. What is empty is read from the host.
type HostConfig struct {
	// Name and ID are host.name and host.id.
	Name string `mapstructure:"name"`
	ID   string `mapstructure:"id"`
	// Root is where the host's root directory is mounted.
	Root string `mapstructure:"root"`
}

// PodSource is where the names of pods come from.
type PodSource string

const (
	// PodSourceNone knows none.
	PodSourceNone PodSource = "none"
	// PodSourceFiles takes them from the names of the kubelet's log files.
	PodSourceFiles PodSource = "files"
	// PodSourceAPI asks the API server, which knows labels, too.
	PodSourceAPI PodSource = "api"
)

// KubernetesConfig says where the names of pods come from.
type KubernetesConfig struct {
	// Source is none, files or api.
	Source PodSource `mapstructure:"source"`
	// LogDirectory is /var/log of the node; for files.
	LogDirectory string `mapstructure:"log_directory"`
	// Node is the node's name; for api.
	Node string `mapstructure:"node"`
	// RefreshInterval is the time between two looks.
	RefreshInterval time.Duration `mapstructure:"refresh_interval"`
}

// TargetConfig selects processes: every field that is set must hold.
type TargetConfig struct {
	// Executable is a glob over the program's path, or its base name.
	Executable string `mapstructure:"executable"`
	// Command is a regular expression searched in the command line.
	Command string `mapstructure:"command"`
	// PID is a process id.
	PID int32 `mapstructure:"pid"`
	// Cgroup is a glob over a control group's path.
	Cgroup string `mapstructure:"cgroup"`
	// ContainerID is the front of a container's id.
	ContainerID string `mapstructure:"container_id"`
	// SystemdUnit is a glob over a unit's name.
	SystemdUnit string `mapstructure:"systemd_unit"`
	// Port is a TCP port the process listens on.
	Port int `mapstructure:"port"`
	// OTelServiceName is a glob over the name in the target's environment.
	OTelServiceName string `mapstructure:"otel_service_name"`
	// K8sNamespace, K8sPod, K8sDeployment and K8sContainer are globs over names.
	K8sNamespace  string `mapstructure:"k8s_namespace"`
	K8sPod        string `mapstructure:"k8s_pod"`
	K8sDeployment string `mapstructure:"k8s_deployment"`
	K8sContainer  string `mapstructure:"k8s_container"`
	// K8sLabels are globs over the values of the pod's labels.
	K8sLabels map[string]string `mapstructure:"k8s_labels"`
	// ServiceName overrides the service's name; it selects nothing.
	ServiceName string `mapstructure:"service_name"`
}

// WatchConfig sets what is seen without any hook on system calls.
type WatchConfig struct {
	// SampleFrequency is in hertz per CPU; zero is off.
	SampleFrequency int `mapstructure:"sample_frequency"`
	// SnapshotInterval is the time between two looks at every thread; zero is off.
	SnapshotInterval time.Duration `mapstructure:"snapshot_interval"`
	// GoroutineInterval is the time between two looks at the goroutines of each Go
	// process; zero is off.
	GoroutineInterval time.Duration `mapstructure:"goroutine_interval"`
}

// FocusConfig sets for how long calls are recorded without a pause when what
// the watch sees of a service leaves its habits.
type FocusConfig struct {
	// Length is for how long; zero is never.
	Length time.Duration `mapstructure:"length"`
	// CoolDown is the least time from the end of one to the next.
	CoolDown time.Duration `mapstructure:"cool_down"`
}

// StacksConfig sets the stacks of calls, and what is read for all stacks.
type StacksConfig struct {
	// Every takes the stack of one call in that many per thread; zero is none.
	Every int `mapstructure:"every"`
	// MaxBytes bounds the piece of a stack that is copied.
	MaxBytes int `mapstructure:"max_bytes"`
	// MaxRate bounds the stacks of calls per second and thread, about, and
	// four times it per CPU; zero is no bound.
	MaxRate int `mapstructure:"max_rate"`
	// Interpreters reads the functions of interpreted programs, out of the memory of
	// their processes.
	Interpreters bool `mapstructure:"interpreters"`
}

// JVMConfig sets what is asked of the Java virtual machines among the targets.
type JVMConfig struct {
	// PerfMapInterval is the time between two requests to write
	// /tmp/perf-PID.map, over the JVM's own attach socket; zero asks for none.
	PerfMapInterval time.Duration `mapstructure:"perf_map_interval"`
}

// RingConfig sets the memory shared with the kernel.
type RingConfig struct {
	// RecordsPerCPU is the length of each CPU's ring in records of 32 bytes.
	RecordsPerCPU int `mapstructure:"records_per_cpu"`
	// StackBytes is the size of the ring for stacks and lifecycle records.
	StackBytes int `mapstructure:"stack_bytes"`
}

// LimitsConfig bounds what the receiver holds.
type LimitsConfig struct {
	// Processes is the number of processes followed at one time.
	Processes int `mapstructure:"processes"`
	// PendingEvents is the number of events held between two flushes; when
	// it is reached they are delivered early.
	PendingEvents int `mapstructure:"pending_events"`
	// QueuedFlushes is the number of deliveries that wait for the next
	// component; beyond it they are dropped and counted.
	QueuedFlushes int `mapstructure:"queued_flushes"`
}

func createDefaultConfig() component.Config {
	return &Config{
		Mode:              ModeBurst,
		Format:            FormatPacked,
		FlushInterval:     time.Second,
		DiscoveryInterval: 2 * time.Second,
		InFlightAfter:     time.Second,
		IncludeChildren:   true,
		OverheadBudget:    0.01,
		Focus:             FocusConfig{Length: 10 * time.Second, CoolDown: time.Minute},
		Watch:             WatchConfig{SampleFrequency: 97, SnapshotInterval: 200 * time.Millisecond, GoroutineInterval: 400 * time.Millisecond},
		TraceContext:      TraceContextNone,
		Stacks:            StacksConfig{Every: 16, MaxBytes: 32 << 10, MaxRate: 240, Interpreters: true},
		Ring:              RingConfig{RecordsPerCPU: 128 << 10, StackBytes: 8 << 20},
		Kubernetes:        KubernetesConfig{Source: PodSourceNone, LogDirectory: "/var/log", RefreshInterval: 10 * time.Second},
		Limits:            LimitsConfig{Processes: 1024, PendingEvents: 256 << 10, QueuedFlushes: 8},
		DropPrivileges:    true,
	}
}

// Validate reports everything that is wrong, one sentence per error.
func (c *Config) Validate() error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	between := func(key string, value, low, high time.Duration) {
		switch {
		case value > 0 && value < time.Microsecond:
			// A number alone is read as nanoseconds.
			fail("%s: %d has no unit: write %ds or %dms", key, value, value, value)
		case value < low || value > high:
			fail("%s: must be between %v and %v, not %v", key, low, high, value)
		}
	}
	within := func(key string, value, low, high int) {
		if value < low || value > high {
			fail("%s: must be between %d and %d, not %d", key, low, high, value)
		}
	}
	if c.Mode != ModeContinuous && c.Mode != ModeBurst && c.Mode != ModeWatch {
		fail("mode: must be burst, continuous or watch, not %q", c.Mode)
	}
	if !(c.OverheadBudget >= 0.0001 && c.OverheadBudget <= 1) {
		fail("overhead_budget: must be a share of the host's CPU time between 0.0001 and 1, such as 0.01 for one percent, not %v", c.OverheadBudget)
	}
	if c.Focus.Length != 0 {
		between("focus::length (0 is off)", c.Focus.Length, time.Second, 5*time.Minute)
	}
	between("focus::cool_down", c.Focus.CoolDown, time.Second, 24*time.Hour)
	if c.Format != FormatPacked && c.Format != FormatEvent {
		fail("format: must be packed or event, not %q", c.Format)
	}
	if c.TraceContext != TraceContextNone && c.TraceContext != TraceContextPayload {
		fail("trace_context: must be none or payload, not %q", c.TraceContext)
	}
	if c.TraceContext == TraceContextPayload && c.Mode == ModeWatch {
		fail("trace_context: payload needs the hooks on system calls: set mode to continuous or burst, or trace_context to none")
	}
	between("flush_interval", c.FlushInterval, 100*time.Millisecond, time.Minute)
	between("discovery_interval", c.DiscoveryInterval, 100*time.Millisecond, 10*time.Minute)
	between("in_flight_after", c.InFlightAfter, 10*time.Millisecond, time.Hour)
	within("watch::sample_frequency", c.Watch.SampleFrequency, 0, 999)
	if c.Watch.SnapshotInterval != 0 {
		between("watch::snapshot_interval (0 is off)", c.Watch.SnapshotInterval, 20*time.Millisecond, 10*time.Second)
	}
	if c.Watch.GoroutineInterval != 0 {
		between("watch::goroutine_interval (0 is off)", c.Watch.GoroutineInterval, 100*time.Millisecond, 10*time.Second)
	}
	if c.Mode == ModeWatch && c.Watch.SampleFrequency == 0 && c.Watch.SnapshotInterval == 0 {
		fail("watch: mode watch needs sample_frequency or snapshot_interval above 0, nothing would be recorded")
	}
	within("stacks::every", c.Stacks.Every, 0, 30000)
	within("stacks::max_bytes", c.Stacks.MaxBytes, 1<<10, 32<<10)
	within("stacks::max_rate", c.Stacks.MaxRate, 0, 15000)
	if c.JVM.PerfMapInterval != 0 {
		between("jvm::perf_map_interval (0 is off)", c.JVM.PerfMapInterval, time.Second, time.Hour)
	}
	within("ring::records_per_cpu", c.Ring.RecordsPerCPU, 16, 1<<20)
	if c.Ring.RecordsPerCPU&(c.Ring.RecordsPerCPU-1) != 0 {
		fail("ring::records_per_cpu: must be a power of two, not %d", c.Ring.RecordsPerCPU)
	}
	within("ring::stack_bytes", c.Ring.StackBytes, 64<<10, 256<<20)
	if c.Ring.StackBytes&(c.Ring.StackBytes-1) != 0 {
		fail("ring::stack_bytes: must be a power of two, not %d", c.Ring.StackBytes)
	}
	within("limits::processes", c.Limits.Processes, 1, 4096)
	within("limits::pending_events", c.Limits.PendingEvents, 1024, 16<<20)
	within("limits::queued_flushes", c.Limits.QueuedFlushes, 1, 1024)
	errs = append(errs, c.validateKubernetes()...)
	if len(c.Targets) == 0 {
		fail("targets: must have at least one rule, such as - executable: /usr/bin/redis-server")
	}
	for i, t := range c.Targets {
		if err := t.validate(); err != nil {
			fail("targets[%d]: %w", i, err)
		}
	}
	for i, t := range c.Exclude {
		if t.ServiceName != "" {
			fail("exclude[%d]: service_name: is allowed in targets only", i)
		}
		if err := t.validate(); err != nil {
			fail("exclude[%d]: %w", i, err)
		}
	}
	return errors.Join(errs...)
}

// validateKubernetes checks the rules by pod by what is known of pods.
func (c *Config) validateKubernetes() (errs []error) {
	k := c.Kubernetes
	if k.Source != PodSourceNone && k.Source != PodSourceFiles && k.Source != PodSourceAPI {
		errs = append(errs, fmt.Errorf("kubernetes::source: must be none, files or api, not %q", k.Source))
	}
	if k.RefreshInterval < time.Second || k.RefreshInterval > time.Hour {
		errs = append(errs, fmt.Errorf("kubernetes::refresh_interval: must be between 1s and 1h0m0s, not %v", k.RefreshInterval))
	}
	for _, set := range []struct {
		key   string
		rules []TargetConfig
	}{{"targets", c.Targets}, {"exclude", c.Exclude}} {
		for i, t := range set.rules {
			switch {
			case len(t.K8sLabels) > 0 && k.Source != PodSourceAPI:
				errs = append(errs, fmt.Errorf("%s[%d]: k8s_labels needs kubernetes::source to be api: labels are known to the API server only", set.key, i))
			case t.pod() != nil && k.Source == PodSourceNone:
				errs = append(errs, fmt.Errorf("%s[%d]: rules by pod need kubernetes::source to be files (the node's /var/log, mounted) or api", set.key, i))
			}
		}
	}
	return errs
}

// pod is the rule's part about pods, nil when there is none.
func (t TargetConfig) pod() *process.PodRule {
	r := process.PodRule{Namespace: t.K8sNamespace, Pod: t.K8sPod, Deployment: t.K8sDeployment, Container: t.K8sContainer, Labels: t.K8sLabels}
	if r.Namespace == "" && r.Pod == "" && r.Deployment == "" && r.Container == "" && len(r.Labels) == 0 {
		return nil
	}
	return &r
}

// maxPendingRecords bounds the events held that become a log record each.
const maxPendingRecords = 16384

// maxPending is the number of events held between two flushes.
func (c *Config) maxPending() int {
	if c.Format == FormatEvent {
		return min(c.Limits.PendingEvents, maxPendingRecords)
	}
	return c.Limits.PendingEvents
}

func (t TargetConfig) validate() error {
	if t.Port < 0 || t.Port > 65535 {
		return fmt.Errorf("port: must be between 1 and 65535, not %d", t.Port)
	}
	return t.rule().Validate()
}

func (t TargetConfig) rule() process.Rule {
	return process.Rule{
		Executable: t.Executable, Command: t.Command, PID: t.PID, Cgroup: t.Cgroup,
		ContainerID: t.ContainerID, SystemdUnit: t.SystemdUnit, Port: uint16(t.Port), //nolint:gosec // validated
		OTelServiceName: t.OTelServiceName, ServiceName: t.ServiceName, Kubernetes: t.pod(),
	}
}

func rules(targets []TargetConfig) []process.Rule {
	out := make([]process.Rule, len(targets))
	for i, t := range targets {
		out[i] = t.rule()
	}
	return out
}
