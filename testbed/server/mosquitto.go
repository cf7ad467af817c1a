package server

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// StartMosquitto starts Debian's mosquitto, which keeps retained messages and
// sessions in a file that it writes every half an hour. settings are added to
// its configuration.
func StartMosquitto(ctx context.Context, settings ...string) (*Server, error) {
	return startDebian(ctx, Program{
		Name: "mosquitto",
		Path: "mosquitto",
		Files: func(addr, dir string) map[string]string {
			own, err := ownDir(dir, "mosquitto")
			if err != nil {
				own = dir // it says so when it cannot write
			}
			return map[string]string{"mosquitto.conf": fmt.Sprintf(`listener %d 127.0.0.1
allow_anonymous true
user mosquitto
log_dest stderr
set_tcp_nodelay true
persistence true
persistence_location %s/
%s
`, port(addr), own, strings.Join(settings, "\n"))}
		},
		Args: func(_, dir string) []string { return []string{"-c", filepath.Join(dir, "mosquitto.conf")} },
	}, "-h")
}

// ReloadMosquitto adds settings to the configuration and has it read again.
func ReloadMosquitto(s *Server, settings ...string) error {
	file, err := os.OpenFile(filepath.Join(s.Dir, "mosquitto.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(file, strings.Join(settings, "\n"))
	if err := file.Close(); err != nil {
		return err
	}
	if err != nil {
		return err
	}
	return s.Signal(syscall.SIGHUP)
}
