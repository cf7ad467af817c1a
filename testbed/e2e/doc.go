// Package e2e tests the built collector, bin/otelcol-perfscope, as a user runs
// it. It has tests only; `make e2e` builds the collector first.
package e2e
