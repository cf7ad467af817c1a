package server

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
)

// Jaeger is a running Jaeger, all in one, in memory: Addr is its query API,
// OTLP where it takes spans over gRPC.
type Jaeger struct {
	*Server
	OTLP string
}

// StartJaeger builds Jaeger from the testbed's module for it, once, and starts
// it on the loopback interface.
func StartJaeger(ctx context.Context) (*Jaeger, error) {
	root, err := Repository()
	if err != nil {
		return nil, err
	}
	path := filepath.Join(root, "testbed", "bin", "all-in-one")
	build := exec.CommandContext(ctx, "go", "build", "-o", path, "github.com/jaegertracing/jaeger/cmd/all-in-one")
	build.Dir = filepath.Join(root, "testbed", "jaeger")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("go build in %s: %w: %s", build.Dir, err, out)
	}
	otlp, err := FreeAddr()
	if err != nil {
		return nil, err
	}
	s, err := StartProgram(ctx, Program{
		Name: "jaeger", Version: "jaeger 1.62.0", Path: path,
		Args: func(addr, _ string) []string {
			args := []string{"--query.http-server.host-port=" + addr, "--collector.otlp.grpc.host-port=" + otlp, "--memory.max-traces=20000"}
			// Everything else it listens on by default is not needed.
			for _, flag := range []string{
				"admin.http.host-port", "collector.grpc-server.host-port", "collector.http-server.host-port", "collector.otlp.http.host-port",
				"query.grpc-server.host-port", "http-server.host-port", "processor.jaeger-binary.server-host-port",
				"processor.jaeger-compact.server-host-port", "processor.zipkin-compact.server-host-port",
			} {
				args = append(args, "--"+flag+"="+net.JoinHostPort("127.0.0.1", "0"))
			}
			return args
		},
	})
	if err != nil {
		return nil, err
	}
	return &Jaeger{Server: s, OTLP: otlp}, nil
}
