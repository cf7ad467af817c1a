//go:generate ../../bin/mdatagen metadata.yaml

// Package perfscopepage is a page on the host itself that shows what PerfScope knows:
// the services, how each fared, and what is wrong with it and why. It needs nothing from
// elsewhere and sends nothing anywhere.
package perfscopepage
