//go:generate ../../bin/mdatagen metadata.yaml

// Package signatureexporter writes down by which system calls the functions of
// a program can be told, from the records of the syscall receiver with a stack
// at every call.
package signatureexporter
