//go:generate ../../bin/mdatagen metadata.yaml

// Package reportexporter shows anomalies to people: as a short text on the console, and
// as one HTML file for each that opens anywhere.
package reportexporter
