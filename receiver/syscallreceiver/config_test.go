package syscallreceiver

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"

	"github.com/perfscope/perfscope/receiver/syscallreceiver/internal/metadata"
)

func TestConfigFile(t *testing.T) {
	file, err := confmaptest.LoadConf(filepath.Join("testdata", "config.yaml"))
	require.NoError(t, err)
	least := createDefaultConfig().(*Config)
	least.Targets = []TargetConfig{{Executable: "/usr/bin/redis-server"}}
	tests := map[component.ID]*Config{
		component.NewID(metadata.Type): least,
		component.NewIDWithName(metadata.Type, "all"): {
			Mode: ModeWatch, Format: FormatEvent, FlushInterval: 5 * time.Second, DiscoveryInterval: 10 * time.Second,
			InFlightAfter: 2 * time.Second, OverheadBudget: 0.02, Focus: FocusConfig{Length: 20 * time.Second, CoolDown: 5 * time.Minute},
			Targets: []TargetConfig{
				{Executable: "/usr/sbin/nginx", Port: 80, ServiceName: "edge"},
				{Command: `-m gunicorn\b`},
				{PID: 4242},
				{Cgroup: "/system.slice/*"},
				{ContainerID: "4f1c2b7ad3e9"},
				{SystemdUnit: "postgresql@*"},
				{OTelServiceName: "shop-*"},
			},
			Exclude: []TargetConfig{{Executable: "/usr/bin/rsync"}}, TraceContext: TraceContextNone,
			Watch:  WatchConfig{SampleFrequency: 19, SnapshotInterval: 500 * time.Millisecond, GoroutineInterval: time.Second},
			Stacks: StacksConfig{Every: 1, MaxBytes: 32768, MaxRate: 1000},
			JVM:    JVMConfig{PerfMapInterval: 30 * time.Second},
			Ring:   RingConfig{RecordsPerCPU: 65536, StackBytes: 16 << 20},
			Limits: LimitsConfig{Processes: 64, PendingEvents: 100000, QueuedFlushes: 2}, DropPrivileges: true,
			Host: HostConfig{Name: "node-1"},
			Kubernetes: KubernetesConfig{
				Source: PodSourceFiles, LogDirectory: "/host/var/log", RefreshInterval: 30 * time.Second,
			},
		},
	}
	for id, want := range tests {
		t.Run(id.String(), func(t *testing.T) {
			sub, err := file.Sub(id.String())
			require.NoError(t, err)
			cfg := createDefaultConfig()
			require.NoError(t, sub.Unmarshal(cfg))
			require.NoError(t, confmap.Validate(cfg))
			assert.Equal(t, want, cfg)
		})
	}
}

func TestConfigErrors(t *testing.T) {
	tests := []struct {
		name   string
		change func(*Config)
		want   string
	}{
		{"no targets", func(c *Config) { c.Targets = nil }, "targets: must have at least one rule"},
		{"empty target", func(c *Config) { c.Targets[0] = TargetConfig{ServiceName: "x"} }, "targets[0]: has no rule: set at least one of executable"},
		{"command", func(c *Config) { c.Targets[0].Command = "(" }, `targets[0]: command: "(" is not a regular expression`},
		{"port", func(c *Config) { c.Targets[0].Port = 70000 }, "targets[0]: port: must be between 1 and 65535, not 70000"},
		{"container", func(c *Config) { c.Targets[0].ContainerID = "abc" }, "targets[0]: container_id: must be 6 to 64"},
		{"exclude", func(c *Config) { c.Exclude = []TargetConfig{{}} }, "exclude[0]: has no rule"},
		{"exclude name", func(c *Config) { c.Exclude = []TargetConfig{{PID: 1, ServiceName: "x"}} }, "exclude[0]: service_name: is allowed in targets only"},
		{"mode", func(c *Config) { c.Mode = "often" }, `mode: must be burst, continuous or watch, not "often"`},
		{"trace context", func(c *Config) { c.TraceContext = "header" }, `trace_context: must be none or payload, not "header"`},
		{"trace context without hooks", func(c *Config) { c.Mode, c.TraceContext = ModeWatch, TraceContextPayload }, "trace_context: payload needs the hooks on system calls"},
		{"budget", func(c *Config) { c.OverheadBudget = 0 }, "overhead_budget: must be a share of the host's CPU time between 0.0001 and 1, such as 0.01 for one percent, not 0"},
		{"focus", func(c *Config) { c.Focus.Length = time.Hour }, "focus::length (0 is off): must be between 1s and 5m0s, not 1h0m0s"},
		{"cool down", func(c *Config) { c.Focus.CoolDown = 0 }, "focus::cool_down: must be between 1s and 24h0m0s, not 0s"},
		{"format", func(c *Config) { c.Format = "json" }, `format: must be packed or event, not "json"`},
		{"flush", func(c *Config) { c.FlushInterval = 0 }, "flush_interval: must be between 100ms and 1m0s, not 0s"},
		{"discovery", func(c *Config) { c.DiscoveryInterval = time.Hour }, "discovery_interval: must be between 100ms and 10m0s, not 1h0m0s"},
		{"in flight", func(c *Config) { c.InFlightAfter = -1 }, "in_flight_after: must be between"},
		{"frequency", func(c *Config) { c.Watch.SampleFrequency = 5000 }, "watch::sample_frequency: must be between 0 and 999, not 5000"},
		{"goroutines", func(c *Config) { c.Watch.GoroutineInterval = time.Millisecond }, "watch::goroutine_interval (0 is off): must be between 100ms and 10s"},
		{"snapshots", func(c *Config) { c.Watch.SnapshotInterval = time.Millisecond }, "watch::snapshot_interval (0 is off): must be between 20ms and 10s"},
		{"nothing to watch", func(c *Config) { c.Mode, c.Watch = ModeWatch, WatchConfig{} }, "watch: mode watch needs"},
		{"stack bytes", func(c *Config) { c.Stacks.MaxBytes = 1 << 20 }, "stacks::max_bytes: must be between 1024 and 32768, not 1048576"},
		{"stacks", func(c *Config) { c.Stacks.Every = -1 }, "stacks::every: must be between"},
		{"perf map", func(c *Config) { c.JVM.PerfMapInterval = time.Millisecond }, "jvm::perf_map_interval (0 is off): must be between 1s and 1h0m0s"},
		{"records", func(c *Config) { c.Ring.RecordsPerCPU = 1000 }, "ring::records_per_cpu: must be a power of two, not 1000"},
		{"ring", func(c *Config) { c.Ring.StackBytes = 100000 }, "ring::stack_bytes: must be a power of two, not 100000"},
		{"processes", func(c *Config) { c.Limits.Processes = 0 }, "limits::processes: must be between 1 and 4096, not 0"},
		{"pending", func(c *Config) { c.Limits.PendingEvents = 1 }, "limits::pending_events: must be between"},
		{"queue", func(c *Config) { c.Limits.QueuedFlushes = 0 }, "limits::queued_flushes: must be between 1 and 1024, not 0"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := createDefaultConfig().(*Config)
			c.Targets = []TargetConfig{{Executable: "x"}}
			require.NoError(t, c.Validate())
			tt.change(c)
			err := c.Validate()
			require.ErrorContains(t, err, tt.want)
			assert.Equal(t, err.Error(), c.Validate().Error(), "validation changed the configuration")
			assert.NotContains(t, strings.TrimSpace(err.Error()), "\n", "one fault gave several errors")
		})
	}
}

func TestADurationWithoutAUnitIsNamed(t *testing.T) {
	cfg := createDefaultConfig().(*Config)
	cfg.Targets = []TargetConfig{{Executable: "x"}}
	require.NoError(t, confmap.NewFromStringMap(map[string]any{"flush_interval": 5}).Unmarshal(cfg))
	require.ErrorContains(t, cfg.Validate(), "flush_interval: 5 has no unit: write 5s or 5ms")
}

func TestRulesByPodNeedASource(t *testing.T) {
	for name, tc := range map[string]struct {
		rule   TargetConfig
		source PodSource
		want   string
	}{
		"no source":         {TargetConfig{K8sNamespace: "shop"}, PodSourceNone, "targets[0]: rules by pod need kubernetes::source"},
		"labels from files": {TargetConfig{K8sLabels: map[string]string{"a": "b"}}, PodSourceFiles, "targets[0]: k8s_labels needs kubernetes::source to be api"},
		"an unknown source": {TargetConfig{Executable: "x"}, "kubelet", "must be none, files or api"},
		"files":             {TargetConfig{K8sDeployment: "orders"}, PodSourceFiles, ""},
		"labels":            {TargetConfig{K8sLabels: map[string]string{"a": ""}}, PodSourceAPI, ""},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := createDefaultConfig().(*Config)
			cfg.Targets, cfg.Kubernetes.Source = []TargetConfig{tc.rule}, tc.source
			err := cfg.Validate()
			if tc.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tc.want)
		})
	}
}
