//go:build !linux

package main

import (
	"errors"
	"runtime"

	"github.com/perfscope/perfscope/internal/doctor"
)

func thisHost(int) (doctor.Host, error) {
	return doctor.Host{}, errors.New("the syscall receiver runs on Linux only, not on " + runtime.GOOS + "; the processor works everywhere")
}
