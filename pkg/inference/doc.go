// Package inference finds, online and without supervision, which function of a
// service makes it slow, from what was seen of its threads: system calls, samples
// on CPU, and looks at blocked threads, each with a user stack (PerfScope,
// SoCC 2014). An Analyzer takes the events of one service and says when the service
// leaves its own past. It knows time only as the events' own, so a recording gives
// the same result at any speed, on any system.
package inference
