//go:generate ../../bin/mdatagen metadata.yaml

// Package perfscopeprocessor finds out which functions are behind the abnormal
// behaviour of a service, from the records of the syscall receiver, and says
// so in log records and on the spans of that service.
package perfscopeprocessor
