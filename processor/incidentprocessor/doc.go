//go:generate ../../bin/mdatagen metadata.yaml

// Package incidentprocessor finds, in a gateway, which service and function is
// behind the anomalies that agents found, for single traces and over time.
package incidentprocessor
