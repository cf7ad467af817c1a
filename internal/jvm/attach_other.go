//go:build !linux

package jvm

import (
	"context"
	"errors"

	"github.com/perfscope/perfscope/internal/rootfs"
)

// WritePerfMap works on Linux only.
func WritePerfMap(context.Context, *rootfs.Door, int32) error {
	return errors.New("perf maps of a JVM are written on Linux only")
}
