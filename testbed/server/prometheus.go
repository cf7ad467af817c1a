package server

import (
	"context"
	"fmt"
	"path/filepath"
)

// StartPrometheus starts Debian's prometheus, which scrapes the address target
// every ten seconds.
func StartPrometheus(ctx context.Context, target string) (*Server, error) {
	return startDebian(ctx, Program{
		Name: "prometheus",
		Path: "prometheus",
		Files: func(_, _ string) map[string]string {
			return map[string]string{"prometheus.yml": fmt.Sprintf(`global:
  scrape_interval: 10s
scrape_configs:
  - job_name: shop
    static_configs:
      - targets: [%q]
`, target)}
		},
		Args: func(addr, dir string) []string {
			return []string{
				"--config.file=" + filepath.Join(dir, "prometheus.yml"), "--storage.tsdb.path=" + filepath.Join(dir, "data"),
				"--web.listen-address=" + addr,
			}
		},
	}, "--version")
}
