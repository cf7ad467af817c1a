package server

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// StartSquid starts Debian's squid, one process, in front of the application at
// app. Requests whose URL matches one of the expressions of its list are
// refused; it caches in memory.
func StartSquid(ctx context.Context, app string, list []string) (*Server, error) {
	host, appPort, err := net.SplitHostPort(app)
	if err != nil {
		return nil, err
	}
	return startDebian(ctx, Program{
		Name: "squid",
		Path: "squid",
		Files: func(addr, dir string) map[string]string {
			own, err := ownDir(dir, "proxy")
			if err != nil {
				own = dir // it says so when it cannot write
			}
			return map[string]string{"blocked": strings.Join(list, "\n") + "\n", "squid.conf": fmt.Sprintf(`http_port %[1]s accel defaultsite=app no-vhost
cache_peer %[2]s parent %[3]s 0 no-query originserver name=app
acl blocked url_regex -i "%[4]s/blocked"
http_access deny blocked
http_access allow all
cache_peer_access app allow all
access_log stdio:%[5]s/access.log
cache_log %[5]s/cache.log
coredump_dir %[5]s
pid_filename none
cache_mem 64 MB
shutdown_lifetime 1 seconds
`, addr, host, appPort, dir, own)}
		},
		Args: func(_, dir string) []string { return []string{"-N", "-f", filepath.Join(dir, "squid.conf")} },
	}, "-v")
}

// BlockSquid gives squid another list and has it read its configuration again.
func BlockSquid(s *Server, list []string) error {
	file := filepath.Join(s.Dir, "blocked")
	if err := os.WriteFile(file, []byte(strings.Join(list, "\n")+"\n"), 0o644); err != nil {
		return err
	}
	return s.Signal(syscall.SIGHUP)
}
