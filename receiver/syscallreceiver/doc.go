//go:generate ../../bin/mdatagen metadata.yaml

// Package syscallreceiver records what the system calls of chosen services
// are, how long they take and which code makes them, with eBPF, and emits that
// as log records for the perfscope processor.
package syscallreceiver
