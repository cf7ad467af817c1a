// An empty stand-in for a module that only a test of the eBPF profiler imports
// (builder-config-full.yaml).
module github.com/open-telemetry/sig-profiling/profcheck

go 1.25.0
