package server

import (
	"context"
	"path/filepath"
)

// StartCaddy installs a version of Caddy from the module proxy, once, and
// starts it. It serves the files of writeFiles; site is added to its only
// site's block.
func StartCaddy(ctx context.Context, version, site string) (*Server, error) {
	path, err := installGo(ctx, "github.com/caddyserver/caddy/v2/cmd/caddy", version)
	if err != nil {
		return nil, err
	}
	s, err := StartProgram(ctx, Program{
		Name: "caddy", Version: "caddy " + version, Path: path,
		Files: func(addr, dir string) map[string]string {
			return map[string]string{"Caddyfile": "{\n\tadmin off\n\tauto_https off\n\tpersist_config off\n}\nhttp://" + addr + " {\n\troot * " +
				filepath.Join(dir, "www") + "\n" + site + "\n\tfile_server\n}\n"}
		},
		Args: func(_, dir string) []string {
			return []string{"run", "--adapter", "caddyfile", "--config", filepath.Join(dir, "Caddyfile")}
		},
		Env: []string{"OTEL_SERVICE_NAME=caddy"},
	})
	if err != nil {
		return nil, err
	}
	if err := writeFiles(filepath.Join(s.Dir, "www")); err != nil {
		_ = s.Stop()
		return nil, err
	}
	return s, nil
}
