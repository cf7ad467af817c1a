package server

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
)

// StartParking compiles and starts the testbed's own Erlang server, apps/parking. Erlang
// names its compiled functions in /tmp/perf-PID.map, which RemovePerfMap takes away.
func StartParking(ctx context.Context) (*Server, error) {
	erl, err := find("erl")
	if err != nil {
		return nil, err
	}
	code, err := compileErlang(ctx, "parking")
	if err != nil {
		return nil, err
	}
	return StartProgram(ctx, Program{
		Name: "parking", Version: "parking (Erlang)", Path: erl, Env: []string{"OTEL_SERVICE_NAME=parking"},
		Args: func(addr, _ string) []string {
			return []string{"+JPperf", "true", "-noinput", "-pa", code, "-run", "parking", "start", strconv.Itoa(port(addr))}
		},
	})
}

// compileErlang compiles testbed/apps/NAME/NAME.erl into testbed/bin/erlang and returns
// that directory.
func compileErlang(ctx context.Context, name string) (string, error) {
	building.Lock()
	defer building.Unlock()
	app, err := appDir(name)
	if err != nil {
		return "", err
	}
	root, err := Repository()
	if err != nil {
		return "", err
	}
	code := filepath.Join(root, "testbed", "bin", "erlang")
	source := filepath.Join(app, name+".erl")
	if upToDate(filepath.Join(code, name+".beam"), []string{source}) {
		return code, nil
	}
	if err := os.MkdirAll(code, 0o755); err != nil {
		return "", err
	}
	if out, err := exec.CommandContext(ctx, "erlc", "-o", code, source).CombinedOutput(); err != nil {
		return "", fmt.Errorf("erlc %s: %w: %s", name, err, out)
	}
	return code, nil
}
