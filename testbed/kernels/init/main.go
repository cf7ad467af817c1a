// Command init is the first and only program of the machine that the kernel
// tests boot: it mounts what the tests need, runs every program in /tests with
// the arguments beside it, and powers off. What it says goes to the console.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

func main() {
	// Whatever becomes of the tests, the machine ends.
	time.AfterFunc(10*time.Minute, off)
	defer off()
	for _, m := range []struct{ kind, at string }{
		{"proc", "/proc"}, {"sysfs", "/sys"}, {"devtmpfs", "/dev"}, {"tmpfs", "/tmp"}, {"securityfs", "/sys/kernel/security"},
		{"tracefs", "/sys/kernel/tracing"}, {"bpf", "/sys/fs/bpf"}, {"cgroup2", "/sys/fs/cgroup"},
	} {
		_ = os.MkdirAll(m.at, 0o755)
		if err := unix.Mount(m.kind, m.at, m.kind, 0, ""); err != nil {
			fmt.Printf("init: mount %s: %v\n", m.at, err)
		}
	}
	programs, _ := filepath.Glob("/tests/*.test")
	for _, path := range programs {
		name := strings.TrimSuffix(filepath.Base(path), ".test")
		args, err := os.ReadFile(strings.TrimSuffix(path, ".test") + ".args")
		if err != nil {
			fmt.Println("init:", err)
		}
		cmd := exec.Command(path, strings.Fields(string(args))...)
		cmd.Env = append(os.Environ(), "CI=true", "HOME=/tmp", "PATH=/bin", "PERFSCOPE_KERNEL_TEST=1")
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stdout
		if err := cmd.Run(); err != nil {
			fmt.Printf("\nEND %s %v\n", name, err)
		} else {
			fmt.Printf("\nEND %s ok\n", name)
		}
	}
}

func off() {
	_ = os.Stdout.Sync()
	unix.Sync()
	_ = unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
	time.Sleep(time.Minute)
}
