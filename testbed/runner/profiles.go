package runner

import (
	"path/filepath"
	"slices"
)

// UseProfiles has the full distribution run, with the OpenTelemetry eBPF profiler in
// the same collector, on a host that has what the profiler asks of one.
func (o *Options) UseProfiles() {
	root := filepath.Dir(filepath.Dir(o.Config))
	o.Binary = filepath.Join(root, "bin", "otelcol-perfscope-full")
	o.Overlays = append(slices.Clone(o.Overlays), filepath.Join(root, "config", "profiles.yaml"))
	o.Args = append(slices.Clone(o.Args), "--feature-gates=service.profilesSupport")
	o.Wrapper = []string{filepath.Join(root, "testbed", "bin", "profilerhost")}
}
