package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// StartBIND starts Debian's named for one zone, which clients on this machine
// may update. records are the zone's beside those of its apex.
func StartBIND(ctx context.Context, zone, records string) (*Server, error) {
	var failed error
	s, err := startDebian(ctx, Program{
		Name: "named",
		Path: "named",
		Files: func(addr, dir string) map[string]string {
			var own string
			own, failed = ownDir(dir, "bind")
			if failed == nil {
				failed = writeAll(own, map[string]string{"zone": fmt.Sprintf(`$TTL 300
@ IN SOA ns.%[1]s. hostmaster.%[1]s. 1 3600 600 86400 300
@ IN NS ns
@ IN MX 10 mail
ns IN A 192.0.2.1
mail IN A 192.0.2.2
%[2]s`, zone, records)})
			}
			return map[string]string{"named.conf": fmt.Sprintf(`options {
	directory "%[1]s";
	listen-on port %[2]d { 127.0.0.1; };
	listen-on-v6 { none; };
	pid-file none;
	session-keyfile none;
	recursion no;
	dnssec-validation no;
	notify no;
};
controls { };
zone "%[3]s" {
	type primary;
	file "zone";
	allow-update { 127.0.0.1; };
};
`, own, port(addr), zone)}
		},
		Args: func(_, dir string) []string {
			args := []string{"-f", "-c", filepath.Join(dir, "named.conf")}
			if os.Geteuid() == 0 {
				args = append(args, "-u", "bind")
			}
			return args
		},
	}, "-v")
	if failed != nil && err == nil {
		return nil, errors.Join(failed, s.Stop())
	}
	return s, err
}
