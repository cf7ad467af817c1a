//go:build !linux

package syscallreceiver

func missingToRead() []string { return nil }
