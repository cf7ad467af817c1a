package server

import (
	"context"
	"fmt"
	"path/filepath"
)

// StartRegistry starts Debian's docker-registry, which keeps images in files.
func StartRegistry(ctx context.Context) (*Server, error) {
	return startDebian(ctx, Program{
		Name: "registry",
		Path: "docker-registry",
		Files: func(addr, dir string) map[string]string {
			return map[string]string{"config.yml": fmt.Sprintf(`version: 0.1
log:
  level: error
  accesslog:
    disabled: true
storage:
  filesystem:
    rootdirectory: %s
http:
  addr: %s
`, filepath.Join(dir, "images"), addr)}
		},
		Args: func(_, dir string) []string { return []string{"serve", filepath.Join(dir, "config.yml")} },
	}, "--version")
}
