//go:build !linux

package syscallreceiver

func dropPrivileges() error { return nil }
