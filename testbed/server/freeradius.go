package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/perfscope/perfscope/testbed/client"
	"github.com/perfscope/perfscope/testbed/proc"
)

// RADIUSSecret is what FreeRADIUS shares with its clients.
const RADIUSSecret = "testing123"

// StartFreeRADIUS starts Debian's freeradius with 14 threads, as a small
// provider would have it: who may come in is asked for at the service app, over
// HTTP.
func StartFreeRADIUS(ctx context.Context, app string) (*Server, error) {
	path, err := find("freeradius")
	if err != nil {
		return nil, err
	}
	addr, err := FreeAddr() // of TCP: the same port of UDP is as good as free
	if err != nil {
		return nil, err
	}
	dir, err := newDir("freeradius")
	if err != nil {
		return nil, err
	}
	fail := func(err error) (*Server, error) { return nil, errors.Join(err, os.RemoveAll(dir)) }
	own, err := ownDir(dir, "freerad")
	if err != nil {
		return fail(err)
	}
	account := ""
	if os.Geteuid() == 0 {
		account = "freerad"
	}
	if err := writeAll(dir, map[string]string{"dictionary": "\n", "radiusd.conf": fmt.Sprintf(`name = freeradius
prefix = /usr
localstatedir = %[1]s
logdir = %[1]s
run_dir = %[1]s
libdir = /usr/lib/freeradius
max_request_time = 30
cleanup_delay = 2
max_requests = 4096
log {
	destination = files
	file = %[1]s/radius.log
}
security {
	reject_delay = 0
}
thread pool {
	start_servers = 14
	max_servers = 14
	min_spare_servers = 1
	max_spare_servers = 14
}
client localhost {
	ipaddr = 127.0.0.1
	secret = %[2]s
}
modules {
	rest {
		connect_uri = "http://%[3]s/"
		authorize {
			uri = "http://%[3]s/app/account?user=%%{User-Name}"
			method = 'get'
		}
		pool {
			start = 14
			min = 14
			max = 14
			spare = 0
			uses = 0
			lifetime = 0
			idle_timeout = 0
		}
	}
}
server default {
	listen {
		type = auth
		ipaddr = 127.0.0.1
		port = %[4]d
	}
	authorize {
		rest
		update control {
			Auth-Type := Accept
		}
	}
}
`, own, RADIUSSecret, app, port(addr))}); err != nil {
		return fail(err)
	}
	log := filepath.Join(dir, "freeradius.log")
	p, err := proc.Start(proc.Options{
		Path: path, Args: []string{"-f", "-d", dir}, Dir: dir, Output: log, User: account,
		Env: []string{"OTEL_SERVICE_NAME=freeradius"},
	})
	if err != nil {
		return fail(err)
	}
	s := &Server{Process: p, Addr: addr, Dir: dir, Version: version(path, "-v")}
	err = waitReady(ctx, p, log, func() error {
		c, err := client.DialRADIUS(addr, RADIUSSecret)
		if err != nil {
			return err
		}
		defer c.Close()
		return c.Login("nobody", "nothing")
	})
	if err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}
