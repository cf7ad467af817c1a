//go:generate ../../bin/mdatagen metadata.yaml

// Package profilesconnector makes profiles in OTLP of what PerfScope knows of the
// services of this host: one a minute of each, and of an anomaly a pair, normal and
// abnormal.
package profilesconnector
