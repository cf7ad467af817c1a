package server

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// StartHerbarium compiles and starts the testbed's own Rust server, apps/herbarium, with
// its data in the returned server's directory.
func StartHerbarium(ctx context.Context) (*Server, error) {
	path, err := buildRust(ctx, "herbarium")
	if err != nil {
		return nil, err
	}
	return StartProgram(ctx, Program{
		Name: "herbarium", Version: "herbarium (Rust)", Path: path, Env: []string{"OTEL_SERVICE_NAME=herbarium"},
		Args: func(addr, dir string) []string { return []string{addr, dir} },
	})
}

// buildRust compiles testbed/apps/NAME/main.rs, optimised and with debug information,
// into testbed/bin/NAME, unless that is newer, and returns its path.
func buildRust(ctx context.Context, name string) (string, error) {
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
	source, program := filepath.Join(app, "main.rs"), filepath.Join(root, "testbed", "bin", name)
	if upToDate(program, []string{source}) {
		return program, nil
	}
	if err := os.MkdirAll(filepath.Dir(program), 0o755); err != nil {
		return "", err
	}
	rustc, err := find("rustc")
	if err != nil {
		return "", err
	}
	compile := exec.CommandContext(ctx, rustc, "-O", "-g", "--edition", "2021", "--crate-name", name, "-o", program, source)
	if out, err := compile.CombinedOutput(); err != nil {
		return "", fmt.Errorf("rustc %s: %w: %s", name, err, out)
	}
	return program, nil
}
