package server

import (
	"context"
	"path/filepath"
)

// StartPushgateway starts Debian's prometheus-pushgateway, which keeps what is
// pushed in memory.
func StartPushgateway(ctx context.Context) (*Server, error) {
	return startDebian(ctx, Program{
		Name: "pushgateway",
		Path: "prometheus-pushgateway",
		Args: func(addr, _ string) []string { return []string{"--web.listen-address=" + addr} },
	}, "--version")
}

// StartAlertmanager starts Debian's prometheus-alertmanager, alone, whose alerts go
// nowhere.
func StartAlertmanager(ctx context.Context) (*Server, error) {
	return startDebian(ctx, Program{
		Name: "alertmanager",
		Path: "prometheus-alertmanager",
		Files: func(_, _ string) map[string]string {
			return map[string]string{"alertmanager.yml": "route:\n  receiver: nobody\nreceivers:\n  - name: nobody\n"}
		},
		Args: func(addr, dir string) []string {
			return []string{
				"--config.file=" + filepath.Join(dir, "alertmanager.yml"), "--storage.path=" + filepath.Join(dir, "data"),
				"--web.listen-address=" + addr, "--cluster.listen-address=",
			}
		},
	}, "--version")
}
