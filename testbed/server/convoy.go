package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/perfscope/perfscope/testbed/proc"
)

// StartConvoy starts the server of testbed/apps/convoy whose requests wait in one way.
func StartConvoy(ctx context.Context, kind string) (*Server, error) {
	s, err := startC(ctx, "convoy", "", nil, []string{"kind " + kind}, dialOnce)
	if err != nil {
		return nil, err
	}
	return s.Server, nil
}

// StartConvoyGo starts the one of testbed/apps/convoygo.
func StartConvoyGo(ctx context.Context) (*Server, error) {
	path, err := buildGo(ctx, "convoygo", "")
	if err != nil {
		return nil, err
	}
	return startGo(ctx, "convoygo", path, "convoygo (Go)", func(addr, _ string) []string { return []string{"-listen", addr} })
}

// StartConvoyJava starts the one of testbed/apps/convoyjava.
func StartConvoyJava(ctx context.Context) (*Server, error) {
	java, err := find("java")
	if err != nil {
		return nil, err
	}
	classes, err := compileJava("convoyjava")
	if err != nil {
		return nil, err
	}
	addr, err := FreeAddr()
	if err != nil {
		return nil, err
	}
	dir, err := newDir("convoyjava")
	if err != nil {
		return nil, err
	}
	log := filepath.Join(dir, "convoyjava.log")
	args := append(append([]string{}, jvmFlags...), "-cp", classes, "convoy.Main", fmt.Sprint(port(addr)))
	p, err := proc.Start(proc.Options{Path: java, Args: args, Dir: dir, Env: []string{"OTEL_SERVICE_NAME=convoyjava"}, Output: log})
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	s := &Server{Process: p, Addr: addr, Dir: dir, Version: "convoyjava (Java)", beside: keepPerfMap}
	if err := s.waitReady(ctx, log, func() error { return dialOnce(addr) }); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}
