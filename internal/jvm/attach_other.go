//go:build !linux

package jvm

import (
	"context"
	"errors"
)

// WritePerfMap works on Linux only.
func WritePerfMap(context.Context, string, int32) error {
	return errors.New("perf maps of a JVM are written on Linux only")
}
