//go:generate ../../bin/mdatagen metadata.yaml

// Package syscallreceiver records what the system calls of chosen services
// are, how long they take and which code makes them, with eBPF, and emits that
// as log records for the perfscope processor.
//
// Who waits for whom: the tracer's goroutine reads the rings, keeps events and
// hands over copies of stacks. It waits for nothing that a target has a say in: it
// takes locks only that are never held while a file is read. Stacks are named, and
// processes described, by workers with a line for each process (symbols); a flush
// waits for them a tenth of a second at most, and not again for a process that was
// late. Targets are found, and JVMs asked, by goroutines of their own (scout,
// perfMaps), and deliveries wait for the next component in a queue. Whatever there
// is no room for on that way is dropped and counted.
package syscallreceiver
