// Package cause tells what a service lost because of the machine or a peer from what it
// lost because of its own code. Each resource is compared with the service's own past of
// it; no figure is high or low by itself.
package cause
