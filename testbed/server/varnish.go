package server

import (
	"context"
	"path/filepath"
)

// StartVarnish starts Debian's varnishd as its unit does, a manager and a
// child, with 256 MiB of memory for objects. vcl is its whole configuration.
func StartVarnish(ctx context.Context, vcl string) (*Server, error) {
	return startDebian(ctx, Program{
		Name:  "varnish",
		Path:  "varnishd",
		Files: func(_, _ string) map[string]string { return map[string]string{"default.vcl": vcl} },
		Args: func(addr, dir string) []string {
			return []string{
				"-F", "-n", filepath.Join(dir, "run"), "-a", addr, "-f", filepath.Join(dir, "default.vcl"),
				"-s", "malloc,256m", "-T", "none",
			}
		},
	}, "-V")
}

// startDebian starts a program of Debian's that the agent's configuration does
// not name: it is watched as any service is that says what it is called. Path
// is what find looks for, versionFlag what has it print its version.
func startDebian(ctx context.Context, p Program, versionFlag string) (*Server, error) {
	path, err := find(p.Path)
	if err != nil {
		return nil, err
	}
	p.Path, p.Version = path, version(path, versionFlag)
	p.Env = append(p.Env, "OTEL_SERVICE_NAME="+p.Name)
	return StartProgram(ctx, p)
}
