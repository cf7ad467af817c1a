package server

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/perfscope/perfscope/testbed/proc"
)

// StartCatalog builds and starts the testbed's product catalogue, a Go server.
func StartCatalog(ctx context.Context, flags ...string) (*Server, error) {
	path, err := buildGo(ctx, "catalog", "")
	if err != nil {
		return nil, err
	}
	addr, err := FreeAddr()
	if err != nil {
		return nil, err
	}
	dir, err := newDir("catalog")
	if err != nil {
		return nil, err
	}
	log := filepath.Join(dir, "catalog.log")
	p, err := proc.Start(proc.Options{
		Path: path, Args: append([]string{"-addr", addr}, flags...), Dir: dir, Output: log,
		Env: []string{"OTEL_SERVICE_NAME=catalog"},
	})
	if err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	goVersion, _ := exec.CommandContext(ctx, "go", "version", path).Output()
	s := &Server{Process: p, Addr: addr, Dir: dir, Version: "catalog, built with Go " + versionNumber.FindString(string(goVersion))}
	err = s.waitReady(ctx, log, func() error {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			return err
		}
		return c.Close()
	})
	if err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}
