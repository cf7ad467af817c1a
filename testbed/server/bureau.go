package server

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
)

// StartBureau builds the testbed's bureau with build tags, and starts it as a service of
// some name.
func StartBureau(ctx context.Context, name, tags string) (*Server, error) {
	path, err := buildBureau(ctx, tags)
	if err != nil {
		return nil, err
	}
	return startGo(ctx, name, path, "bureau (Go) "+tags, func(addr, _ string) []string { return []string{"-listen", addr} })
}

func buildBureau(ctx context.Context, tags string) (string, error) {
	building.Lock()
	defer building.Unlock()
	root, err := Repository()
	if err != nil {
		return "", err
	}
	path := filepath.Join(root, "testbed", "bin", "bureau")
	if tags != "" {
		path += "-" + strings.ReplaceAll(tags, " ", "-")
	}
	build := exec.CommandContext(ctx, "go", "build", "-tags", tags, "-o", path, "./apps/bureau")
	build.Dir = filepath.Join(root, "testbed")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build bureau: %w: %s", err, out)
	}
	return path, nil
}
