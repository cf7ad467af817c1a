// Package goroutine finds the goroutines of a Go program that wait, in the memory
// of its process: those that are parked by the runtime, which no thread waits for.
//
// Everything read there is the target's: a layout that contradicts itself is
// refused, reads are bounded in number and bytes, and no read depends on how many
// goroutines there are.
package goroutine
